"""Which Debian mirror this machine uses, read from what apt says of itself; pure, and no mirror's name in it."""

from mxfleet.errors import LabError
from mxfleet.lab.recipe import SUITE

INDEX_FORMAT = "$(IDENTIFIER)|$(SITE)|$(CODENAME)|$(COMPONENT)"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
DEBIAN_RELEASES = ("bookworm", "trixie", "forky", "duke", "sid")
NEEDED_SETTINGS = ("Acquire::http::", "Acquire::https::", "Acquire::Check-Valid-Until", "Acquire::Check-Date")


def sources(index_targets: str) -> list[str]:
    """Lines for sources.list of the guests' release, on the mirrors that this machine's apt uses already.

    `index_targets` is what `apt-get indextargets --format INDEX_FORMAT` prints: one line an index.
    """
    archive = security = ""
    for line in index_targets.splitlines():
        identifier, site, codename, component = [*line.split("|"), "", "", "", ""][:4]
        if identifier != "Packages" or component != "main":
            continue
        if codename.endswith("-security"):
            security = security or site
        elif codename in DEBIAN_RELEASES:
            archive = archive or site
    if not archive:
        raise LabError(
            "this machine's apt names no Debian mirror, and the lab guesses none",
            hint="put a Debian mirror into /etc/apt/sources.list and run apt-get update",
        )
    signed = f"[signed-by={KEYRING}]"
    lines = [f"deb {signed} {archive} {suite} main" for suite in (SUITE, f"{SUITE}-updates")]
    return [*lines, f"deb {signed} {security} {SUITE}-security main"] if security else lines


def settings(dump: str) -> list[str]:
    """The lines of `apt-config dump Acquire` without which this machine may not reach its mirror."""
    return [line for line in dump.splitlines() if line.startswith(NEEDED_SETTINGS) and '""' not in line]
