"""The record and the policy file of MTA-STS (RFC 8461 §3): octets in, values out, or a word why there is none."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, cast

from mxfleet.mail.names import canonical_name

Mode: TypeAlias = Literal["enforce", "testing", "none"]

MAX_AGE: Final = 31_557_600  # seconds (RFC 8461 §3.2)
NO_RECORD: Final = "no MTA-STS record"
_VERSION = re.compile(r"v=STSv1[ \t]*;")
_FIELD = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.-]{0,31})=([!-:<>-~]+(?: +[!-:<>-~]+)*|[!-:<>-~]*)")
_ID = re.compile(r"[A-Za-z0-9]{1,32}")
_LINE = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.-]{0,31}):[ \t]*(.*?)[ \t]*")
_SECONDS = re.compile(r"[0-9]{1,10}")


@dataclass(frozen=True, slots=True)
class Record:
    """The TXT record at `_mta-sts`: its id changes with the policy."""

    id: str


@dataclass(frozen=True, slots=True)
class Policy:
    """What the domain asks for; `mx` are canonical names, `*.` before those that stand for one more label."""

    mode: Mode
    max_age: int
    mx: tuple[str, ...]

    def allows(self, host: str) -> bool:
        """Whether an MX host is one of the policy's (RFC 8461 §4.1)."""
        name = canonical_name(host)
        above = "*." + name.partition(".")[2]
        return name != "" and (name in self.mx or (above != "*." and above in self.mx))


def parse_record(texts: Sequence[bytes]) -> Record | str:
    """The one record of a domain (RFC 8461 §3.1), or why it has none; others beside it do not count."""
    ours = [text for text in (octets.decode("latin-1") for octets in texts) if _VERSION.match(text)]
    if len(ours) != 1:
        return "several MTA-STS records" if ours else NO_RECORD
    fields = [field.strip(" \t") for field in ours[0].split(";")]
    if fields[-1] == "":
        fields.pop()
    found: dict[str, str] = {}
    for field in fields:
        match = _FIELD.fullmatch(field)
        if match is None:
            return f"the MTA-STS record has {field[:40]!r} in it"
        found.setdefault(match[1], match[2])
    if not _ID.fullmatch(found.get("id", "")):
        return "the MTA-STS record has no id"
    return Record(found["id"])


def parse_policy(octets: bytes) -> Policy | str:
    """The policy file (RFC 8461 §3.2), or why it is none; unknown fields do not count, nor repeated ones but mx."""
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError:
        return "the policy is not UTF-8"
    fields: dict[str, str] = {}
    patterns: list[str] = []
    for line in filter(None, re.split(r"\r?\n", text)):
        match = _LINE.fullmatch(line)
        if match is None:
            return f"the policy has the line {line[:40]!r}"
        if match[1] == "mx":
            patterns.append(match[2])
        fields.setdefault(match[1], match[2])
    return _policy(fields, patterns)


def _policy(fields: dict[str, str], patterns: Sequence[str]) -> Policy | str:
    if fields.get("version") != "STSv1":
        return "the policy's version is not STSv1"
    mode, max_age = fields.get("mode", ""), fields.get("max_age", "")
    if mode not in ("enforce", "testing", "none"):
        return f"the policy has the mode {mode[:40]!r}"
    if not _SECONDS.fullmatch(max_age) or int(max_age) > MAX_AGE:
        return f"the policy has the max_age {max_age[:40]!r}"
    names = [_canonical(pattern) for pattern in patterns]
    if "" in names:
        return f"the policy names {patterns[names.index('')][:40]!r}"
    if not names and mode != "none":
        return "the policy names no host"
    return Policy(cast("Mode", mode), int(max_age), tuple(dict.fromkeys(names)))


def _canonical(pattern: str) -> str:
    star = "*." if pattern.startswith("*.") else ""
    name = canonical_name(pattern[len(star) :])
    return star + name if name and re.fullmatch(r"[a-z0-9.-]+", name) else ""
