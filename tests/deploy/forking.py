"""pyinfra, imported once and forked for each run: lines of JSON in, exit codes out.

{"words": […], "script": "…", "output": "file"} → "0"
"""

import io
import json
import os
import sys

from pyinfra_cli.main import cli  # type: ignore[import-untyped]


def run(words: list[str], script: str, output: str) -> None:
    os.environ["MXFLEET_FAKE"] = script
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.stdin = io.StringIO("\n")  # whoever is asked says yes
    cli(words)


def main() -> None:
    for line in sys.stdin:
        order = json.loads(line)
        if (child := os.fork()) == 0:
            run(order["words"], order["script"], order["output"])
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
