"""What a command that takes keys' steps says: each step as it is taken, and at the end what waits for what."""

import json
from dataclasses import dataclass, field
from datetime import datetime

from mxfleet.cli.tending import as_values, stuck, waiting
from mxfleet.keys.tending import Tended

NEXT = "next: mxfleet tend, again and again (a timer does it), takes the steps as they come due"


@dataclass(slots=True)
class TendingReport:
    """The sentences so far; with `json_output` they are kept for the one value at the end."""

    json_output: bool
    said: list[str] = field(default_factory=list)

    def say(self, sentence: str) -> None:
        """One step."""
        self.said.append(sentence)
        if not self.json_output:
            print(sentence, flush=True)

    def end(self, tended: Tended, now: datetime, afterwards: str = NEXT) -> int:
        """The rest; the exit code: 2 where something other than time keeps a key from its next step."""
        if self.json_output:
            print(json.dumps({**as_values(tended), "done": self.said}, indent=2))
        else:
            for sentence in [*waiting(tended, now), *([afterwards] if afterwards else [])]:
                print(sentence)
        return 2 if stuck(tended) else 0
