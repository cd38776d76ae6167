"""Results are kept: one line of JSON a measurement under docs/measured/."""

import json
import os
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
MEASURED = ROOT / "docs" / "measured"


def keep(name: str, result: dict[str, Any]) -> None:
    """Add the result, with time and number of cores, to docs/measured/<name>.jsonl."""
    MEASURED.mkdir(parents=True, exist_ok=True)
    line = {"at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "cores": os.cpu_count(), **result}
    with (MEASURED / f"{name}.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
