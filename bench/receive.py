"""`python -m bench.receive [--quick] [--json]`: our exchange against Debian's Postfix, receiving.

Both accept durably and hold, in pairs A B A B in the same run; then memory, then `kill -9` under load. About
20 minutes, 3 with --quick (which keeps nothing). Needs root and the Debian packages that it names when they are
missing. Results: docs/measured/receive.md, receive.png, receive.jsonl.
"""

import argparse
import json
import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench.measured import MEASURED, keep
from bench.receiving import certificate, kills, machine, memory, names, page, report, rows, senders
from bench.receiving.exchange import interpreter
from bench.receiving.generator import Generator
from bench.receiving.machine import Account, BenchError
from mxfleet.errors import MxfleetError


def main() -> int:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--quick", action="store_true", help="one short round, five kills; nothing is kept")
    parser.add_argument("--rounds", type=int, default=5, help="pairs a row")
    parser.add_argument("--rows", default="", help=f"only these: {','.join(row.name for row in rows.ROWS)}")
    parser.add_argument("--plot", type=Path, help="where the PNG goes; default docs/measured/receive.png")
    parser.add_argument("--directory", type=Path, default=Path("/var/tmp"), help="on the disk to measure")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # whatever was started ends all the same
    try:
        result = measure(arguments)
        if not arguments.quick and not arguments.rows:
            keep("receive", report.as_json(result))
            page.write(result, MEASURED)
        if arguments.plot or not (arguments.quick or arguments.rows):
            report.plot(result, arguments.plot or MEASURED / page.PLOT)
    except MxfleetError as error:
        print(f"bench.receive: {error}", file=sys.stderr)
        return 1
    print(json.dumps(report.as_json(result)) if arguments.json else report.text(result))
    return 0


def measure(arguments: argparse.Namespace) -> report.Result:
    """Everything, in order; whatever is started ends, whatever is written goes."""
    machine.require_packages()
    kind = machine.filesystem(arguments.directory)
    if kind in ("tmpfs", "ramfs", "overlay"):
        raise BenchError(f"{arguments.directory} is {kind}: no disk, nothing durable", hint="--directory")
    say("senders: a thousand domains and keys; a minute the first time")
    made = senders.ready(senders.cache_directory())
    rounds, seconds, warm = (1, 2.0, 1.0) if arguments.quick else (arguments.rounds, 6.0, 5.0)
    with ExitStack() as life:
        directory = Path(
            life.enter_context(tempfile.TemporaryDirectory(prefix="mxfleet-bench-", dir=arguments.directory))
        )
        directory.chmod(0o755)  # Postfix's processes are not root
        (directory / "names").mkdir()
        account = Account("names")
        life.callback(account.end)
        bench = rows.Bench(
            directory,
            made,
            Generator(directory),
            certificate.make(directory),
            life.enter_context(names.running(directory / "names", made, account)),
            seconds,
            warm,
        )
        wanted = [row for row in rows.ROWS if not arguments.rows or row.name in arguments.rows.split(",")]
        measured = tuple(rows.measure(bench, row, rounds, say) for row in wanted)
        say("memory at 500 sessions, and with a message of 50 MB")
        used = memory.measure(bench)
        survival = kills.measure(bench, 5 if arguments.quick else 20, say)
        facts = machine.description(interpreter(directory)[0]) | {"disk": kind}
        return report.Result(facts, rounds, seconds, measured, used, survival)


def say(text: str) -> None:
    """Progress, on stderr."""
    print(f"bench.receive: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
