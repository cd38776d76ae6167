"""`mxd queue …`: what waits on this node, and what an operator does about it."""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from mxfleet.errors import ServiceError
from mxfleet.mxd import asking, settings
from mxfleet.mxd.route import given
from mxfleet.mxd.settings import Settings
from mxfleet.mxd.spool.values import Changed, DomainSummary, QueueItem, QueueSummary, Selection

CHANGES: Final = {
    "retry": "make waiting deliveries due now",
    "hold": "keep deliveries from being tried",
    "release": "have held deliveries tried again",
    "delete": "forget deliveries; nobody is told",
    "reroute": "send deliveries to another host",
    "expire": "one last try now, then the sender is told",
}
DONE: Final = {
    "retry": "due now",
    "hold": "held",
    "release": "released",
    "delete": "deleted",
    "reroute": "re-routed",
    "expire": "on their last try",
}


def add(parser: argparse.ArgumentParser) -> None:
    """The verbs below `mxd queue`."""
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    verb = _verb(verbs, "list", "waiting deliveries, the next due first", show_list)
    verb.add_argument("--limit", type=int, default=1000)
    _selecting(verb)
    verb = _verb(verbs, "show", "one message, by its trace id", show_one)
    verb.add_argument("trace")
    _verb(verbs, "summary", "counts by domain and reason", show_summary)
    for name, text in CHANGES.items():
        verb = _verb(verbs, name, text, change)
        verb.set_defaults(change=name)
        _selecting(verb)
        verb.add_argument("--all", action="store_true", help="the whole queue")
        if name == "reroute":
            verb.add_argument("--to", required=True, metavar="HOST:PORT", help="'' for its own route again")


def _verb(
    verbs: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    text: str,
    run: Callable[[argparse.Namespace], int],
) -> argparse.ArgumentParser:
    verb = verbs.add_parser(name, help=text)
    verb.add_argument("--json", action="store_true")
    verb.set_defaults(verb=run)
    return verb


def _selecting(verb: argparse.ArgumentParser) -> None:
    for name, text in (
        ("domain", "the recipients' domain"),
        ("trace", "one message"),
        ("sender", "the reverse-path"),
        ("recipient", "one recipient"),
    ):
        verb.add_argument(f"--{name}", default="", help=text)


def _selected(arguments: argparse.Namespace) -> Selection:
    return Selection(
        domain=arguments.domain.lower(),
        trace=arguments.trace,
        sender=arguments.sender,
        recipient=arguments.recipient,
    )


def show_list(arguments: argparse.Namespace) -> int:
    """The waiting deliveries."""
    return _show(arguments, asking.items(_settings(arguments), _selected(arguments), arguments.limit))


def show_one(arguments: argparse.Namespace) -> int:
    """The deliveries of one message; exit 1 where nothing of it waits here."""
    items = asking.items(_settings(arguments), Selection(trace=arguments.trace), 1000)
    return _show(arguments, items) if items else 1


def _show(arguments: argparse.Namespace, items: tuple[QueueItem, ...]) -> int:
    if arguments.json:
        _say(items)
        return 0
    for item in items:
        sys.stdout.write(item_line(item) + "\n")
    return 0


def show_summary(arguments: argparse.Namespace) -> int:
    """The queue in numbers."""
    summary = asking.summary(_settings(arguments))
    if arguments.json:
        _say(summary)
        return 0
    sys.stdout.write(summary_text(summary, time.time()))
    return 0


def change(arguments: argparse.Namespace) -> int:
    """Change what is selected; the service must be up."""
    selection = _selected(arguments)
    if selection == Selection() and not arguments.all:
        raise ServiceError(f"queue {arguments.change}: of what?", hint="--domain, --trace, … or --all")
    if hop := getattr(arguments, "to", ""):
        given(hop)
    request = {"verb": arguments.change, "selection": msgspec.to_builtins(selection), "hop": hop}
    answer = asking.ask(Path(_settings(arguments).paths.runtime), request)
    if answer is None:
        raise ServiceError("the service does not answer", hint="systemctl start mxd")
    if arguments.json:
        _say(answer)
        return 0
    changed = msgspec.convert(answer, Changed)
    busy = f"; {changed.busy} being tried at this moment" if changed.busy else ""
    sys.stdout.write(f"{changed.changed} {DONE[arguments.change]}{busy}\n")
    return 0


def item_line(item: QueueItem) -> str:
    """One delivery as a line."""
    recipients = ", ".join(item.recipients)
    hop = f"  via {item.hop}" if item.hop else ""
    return f"{item.trace}  {_when(item):<19}  {item.attempts:>3}  <{item.sender}> -> {recipients}{hop}  {item.reply}"


def _when(item: QueueItem) -> str:
    if item.leased:
        return "now"
    if item.held or item.due is None:
        return "held"
    return time.strftime("%F %T", time.localtime(item.due)) if item.due else "at once"


def summary_text(summary: QueueSummary, now: float) -> str:
    """The queue as a table: each domain, below it each reason."""
    lines = [f"{summary.messages} messages, {summary.deliveries} deliveries, {summary.octets} octets"]
    for domain in summary.domains:
        lines.append(_domain_line(domain, now))
        lines += [f"      {reason.deliveries:>9}  {reason.reply}" for reason in domain.reasons]
    return "\n".join(lines) + "\n"


def _domain_line(domain: DomainSummary, now: float) -> str:
    words = [f"oldest {_duration(now - domain.oldest)}"]
    if domain.leased:
        words.append(f"{domain.leased} under way")
    if domain.held:
        words.append(f"{domain.held} held")
    if domain.next_due is not None:
        words.append(f"next in {_duration(domain.next_due - now)}")
    return f"  {domain.domain:<32} {domain.deliveries:>7}  {', '.join(words)}"


def _duration(seconds: float) -> str:
    for size, name in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {name}"
    return f"{max(seconds, 0):.0f} s"


def _say(value: object) -> None:
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")


def _settings(arguments: argparse.Namespace) -> Settings:
    return settings.read(arguments.settings)
