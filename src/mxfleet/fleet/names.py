"""Host and domain names as a fleet writes them (lower case, A-labels), addresses, and what a problem of a fleet is."""

import re
from collections import Counter
from collections.abc import Iterator

from mxfleet.fleet.model import Fleet

Problem = tuple[str, str]
"""A sentence and its remedy."""

LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)\Z")
LOCAL_PART = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*\Z")


def is_hostname(name: str) -> bool:
    """Whether the name is a full, lower-case host name of two labels or more (RFC 1123 §2.1)."""
    labels = name.split(".")
    return len(name) <= 253 and len(labels) >= 2 and all(LABEL.match(label) for label in labels)


def is_address(text: str) -> bool:
    """Whether it is a plain address."""
    local_part, _, domain = text.rpartition("@")
    return bool(LOCAL_PART.match(local_part)) and is_hostname(domain)


def all_hostnames(fleet: Fleet) -> list[str]:
    """Every host name, as often as it is given."""
    names = [node.hostname for node in fleet.nodes]
    names += [fleet.service.hostname] if fleet.service else []
    return names + ([fleet.submission_hostname] if fleet.submission_hostname else [])


def twice(what: str, values: list[str]) -> Iterator[Problem]:
    """What is given more than once."""
    for value, count in Counter(values).items():
        if count > 1:
            yield f"{what} {value} is given {count} times", "each may stand once"
