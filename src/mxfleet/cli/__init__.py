"""The command line: one module a noun, imported only when that noun is typed."""

import importlib
import json
import sys
from collections.abc import Sequence
from typing import Any

from mxfleet import __version__
from mxfleet.errors import MxfleetError

NOUNS: dict[str, str] = {
    "lab": "boot, show, break and end the Internet on this machine",
    "deploy": "bring the fleet to what the inventory says",
    "drift": "say what a deploy would change (exit 2 where it would)",
    "status": "what runs where, who holds the service address, what waits in which queue",
    "queue": "what waits on all nodes; hold, release, retry, delete, re-route it",
    "trace": "the life of a message over all nodes, as one timeline",
    "probe": "speak with a mail host as the exchange would, and say what hinders mail",
    "dns": "plan and apply the mail records",
    "dkim": "mint, list, rotate and withdraw signing keys",
    "tend": "take each key's next step where it may be taken; for a timer",
    "tls": "issue, import and list certificates",
    "account": "set the passwords of those who submit mail",
    "vault": "seal all secrets anew for the people whom the inventory names",
    "mail": "send mail both ways and show the verdicts of the other side",
    "backup": "save vault, ledger and queues; restore them",
    "release": "build what is pushed to the nodes",
    "check": "format, lint, types and unit tests: before each commit",
    "test": "everything, from nothing, on real hosts",
}
"""Every noun with its one line of help; `mxfleet.cli.<noun>` holds its typer application as `app`."""

EXIT_DONE, EXIT_ERROR, EXIT_PENDING = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code: 0 done, 1 error, 2 changes pending."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    while words and words[0] == "--yes":  # the launcher's own flag
        words.pop(0)
    if not words or words[0] in ("--help", "-h", "help"):
        print(usage())
        return EXIT_DONE
    if words[0] == "--version":
        print(__version__)
        return EXIT_DONE
    if words[0] not in NOUNS:
        print(f"mxfleet: no command {words[0]!r} — next: mxfleet --help", file=sys.stderr)
        return EXIT_ERROR
    return run(words[0], words[1:])


def run(noun: str, words: list[str]) -> int:
    """Import the noun's module and run it; an error of ours is one line on stderr."""
    application = importlib.import_module(f"mxfleet.cli.{noun}").app
    try:
        return _invoke(application, noun, words)
    except MxfleetError as error:
        if "--json" in words:
            print(json.dumps({"error": error.message, "next": error.hint}))
        print(f"mxfleet: {error}", file=sys.stderr)
        return EXIT_ERROR
    except KeyboardInterrupt:
        print("mxfleet: stopped by you; what was begun may be half done — run it again", file=sys.stderr)
        return EXIT_ERROR


def _invoke(application: Any, noun: str, words: list[str]) -> int:  # noqa: ANN401  (typer.Typer, imported lazily)
    import typer.main

    command = typer.main.get_command(application)
    try:
        result = command.main(args=words, prog_name=f"mxfleet {noun}", standalone_mode=False)
    except Exception as error:
        if not hasattr(error, "format_message"):  # click's own usage errors carry it
            raise
        print(f"mxfleet: {error.format_message()} — next: mxfleet {noun} --help", file=sys.stderr)
        return EXIT_ERROR
    return result if isinstance(result, int) else EXIT_DONE


def usage() -> str:
    """The text of `mxfleet --help`."""
    lines = [
        "mxfleet: infrastructure as code for a clustered SMTP exchange",
        "",
        "usage: mxfleet COMMAND ...",
        "",
    ]
    lines += [f"  {noun:<9}{help_line}" for noun, help_line in NOUNS.items()]
    lines += [
        "",
        "Each verb has --help and, but for `lab ssh`, --json. --fleet FILE (or MXFLEET_FLEET) names the inventory.",
        "Exit codes: 0 done, 1 error, 2 changes pending.",
    ]
    return "\n".join(lines)
