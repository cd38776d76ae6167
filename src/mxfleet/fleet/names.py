"""Host and domain names as a fleet writes them: lower case, A-labels."""

import re

LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)\Z")


def is_hostname(name: str) -> bool:
    """Whether the name is a full, lower-case host name of two labels or more (RFC 1123 §2.1)."""
    labels = name.split(".")
    return len(name) <= 253 and len(labels) >= 2 and all(LABEL.match(label) for label in labels)
