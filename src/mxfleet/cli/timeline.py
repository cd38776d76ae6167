"""The log lines of a message, as nodes keep them, in the order of time and in words."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Fields = dict[str, Any]


@dataclass(frozen=True)
class Event:
    """One line of one node's log."""

    node: str
    fields: Fields

    @property
    def time(self) -> str:
        """ISO 8601, UTC, milliseconds: sorts as text."""
        return str(self.fields.get("time", ""))

    @property
    def trace(self) -> str:
        """The message that it is about."""
        return str(self.fields.get("trace", ""))


def events(node: str, text: str) -> list[Event]:
    """The lines of one node that are JSON objects; systemd's own are left out."""
    found = []
    for line in text.splitlines():
        try:
            fields = json.loads(line)
        except ValueError:
            continue
        if isinstance(fields, dict) and fields.get("trace"):
            found.append(Event(node, fields))
    return found


def told(found: Iterable[Event]) -> list[str]:
    """A timeline: each message under its id, its events in order."""
    by_trace: dict[str, list[Event]] = {}
    for event in sorted(found, key=lambda event: event.time):
        by_trace.setdefault(event.trace, []).append(event)
    lines: list[str] = []
    for trace, members in by_trace.items():
        lines.append(trace)
        lines += [f"  {_clock(event.time)}  {event.node:<6}  {sentence(event.fields)}" for event in members]
    return lines


def sentence(fields: Fields) -> str:
    """One event in words, with the remote's own where it said something."""
    match fields.get("event"):
        case "accepted":
            to = ", ".join(f"<{recipient}>" for recipient in fields.get("recipients", ()))
            by = f" by {fields['submitter']}" if fields.get("submitter") else ""
            octets = fields.get("size", 0)
            return (
                f"accepted from {fields.get('client')}{by}: <{fields.get('sender')}> to {to}, {octets} octets"
                + _found(fields)
            )
        case "refused":
            return f"refused {fields.get('client', '')}: {fields.get('reply')}" + _found(fields)
        case "delivered":
            return f"delivered to <{fields.get('recipient')}>{_at(fields)}: {fields.get('reply')}"
        case "deferred":
            again = _moment(fields.get("next"))
            return f"<{fields.get('recipient')}> must wait{_at(fields)}: {fields.get('reply')}{_doubt(fields)}; {again}"
        case "failed":
            return f"given up for <{fields.get('recipient')}>{_at(fields)}: {fields.get('reply')}"
        case "bounced":
            return f"its sender is told, by {fields.get('bounce')}"
        case "TLS failed, trying without":
            place = f"{fields.get('host')} [{fields.get('address')}]"
            return f"TLS with {place} failed: {fields.get('reason')}; tried again without TLS, which nothing there requires"
        case "would be refused":
            policy, host = fields.get("policy"), fields.get("host")
            return (
                f"{policy} would have kept it from {host}: {fields.get('reason')}; "
                "delivered all the same, for the policy is only being tried out"
            )
        case "abandoned behind the final dot":
            return "the exchange was stopped before the answer to the whole message came: it may arrive twice"
        case "interrupted":
            to = ", ".join(f"<{recipient}>" for recipient in fields.get("recipients", ()))
            twice = ", and may arrive twice" if fields.get("doubtful") else ""
            return f"the node went down while it was being sent to {to}: it is sent again{twice}"
        case event:
            left_out = ("event", "trace", "time", "level", "process")
            rest = {name: value for name, value in fields.items() if name not in left_out}
            return f"{event}: " + ", ".join(f"{name} {value}" for name, value in rest.items())


def _found(fields: Fields) -> str:
    """What was found out about a message from elsewhere, and why it was taken all the same where something spoke against it."""
    words = []
    for name in ("iprev", "spf", "dkim", "arc", "dmarc", "listed", "rspamd"):
        found = fields.get(name)
        if found or name in fields:
            said = ", ".join(map(str, found)) if isinstance(found, list) else str(found)
            words.append(f"{name} {said or 'none'}")
    because = f"; {fields['reason']}" if words and fields.get("reason") else ""
    return f"; found: {', '.join(words)}{because}" if words else ""


def _at(fields: Fields) -> str:
    if not fields.get("host"):
        return ""
    facts = [fields["address"]] if fields.get("address") else []
    if tls := _tls(fields):
        facts.append(tls)
    place = f" [{', '.join(facts)}]" if facts else ""
    return f" at {fields['host']}{place}, attempt {fields.get('attempt')}"


def _tls(fields: Fields) -> str:
    """How the connection was secured; nothing where none came about."""
    if not fields.get("tls"):
        return "" if fields.get("stage") in ("greeting", "starttls") else "without TLS"
    cipher = f" with {fields['cipher']}" if fields.get("cipher") else ""
    by = f", required by {fields['policy']}" if fields.get("policy") else ""
    return f"{fields['tls']}{cipher}{by}, verified by {fields.get('verified') or 'nobody'}"


def _doubt(fields: Fields) -> str:
    return " (its answer was not seen: it may arrive twice)" if fields.get("doubtful") else ""


def _moment(seconds: object) -> str:
    if not isinstance(seconds, int | float):
        return "tried again later"
    return f"tried again at {datetime.fromtimestamp(seconds):%H:%M:%S on %d %b}"  # noqa: DTZ006 - the reader's clock


def _clock(text: str) -> str:
    try:
        return f"{datetime.fromisoformat(text).astimezone():%d %b %H:%M:%S.%f}"[:-3]
    except ValueError:
        return text
