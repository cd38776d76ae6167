"""What of a node's files belongs to keys: whole files, and parts of two others, that change with nothing but the ledger."""

import hashlib
import re

from mxfleet.render import policyhost, smtp, tls

DIRECTORIES = (smtp.DKIM, tls.DIRECTORY)
READERS = (smtp.SERVICE, policyhost.SERVICE)
"""The units that load them."""
TABLES = "/^\\[\\[dkim\\]\\]$/,$d"
"""For sed: takes away the last part of mxd.toml, a table for each DKIM key."""
PATHS = f"s# {smtp.DKIM}/[^ ]+##g"
"""For sed -E: takes away what the unit's drop-in names of them."""
BESIDE = {
    smtp.SETTINGS: f"sed -e '{TABLES}' -e '/^$/d' {smtp.SETTINGS}",
    smtp.NOTING: f"sed -E '{PATHS}' {smtp.NOTING}",
}
"""The files of which a part belongs to keys, and the shell that prints the rest; `without_keys` is the same here."""


def belongs(path: str) -> bool:
    """Whether the whole file or directory does."""
    return any(path == directory or path.startswith(f"{directory}/") for directory in DIRECTORIES)


def without_keys(path: str, text: str) -> str:
    """The rest of a file of which a part does."""
    if path == smtp.NOTING:
        return re.sub(f" {smtp.DKIM}/[^ \n]+", "", text)
    lines = text.splitlines()
    end = lines.index("[[dkim]]") if "[[dkim]]" in lines else len(lines)
    return "".join(f"{line}\n" for line in lines[:end] if line)


def digest_beside(path: str, text: str) -> str:
    """SHA-256 (hex) of that rest."""
    return hashlib.sha256(without_keys(path, text).encode()).hexdigest()
