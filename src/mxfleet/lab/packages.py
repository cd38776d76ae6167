"""The Debian packages that the lab needs on the operator's machine, and their installation."""

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from mxfleet.errors import LabError

PROGRAMS = {
    "systemd-nspawn": "systemd-container",
    "mmdebstrap": "mmdebstrap",
    "nft": "nftables",
    "ip": "iproute2",
    "ssh": "openssh-client",
    "nsenter": "util-linux",
    "setsid": "util-linux",
}
"""A program that the lab starts → the Debian package that has it."""
KEYRING = "debian-archive-trixie-stable.*"
"""The signing key of the guests' release; a bookworm before 12.1 does not have it."""
SEARCH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def missing(programs: Mapping[str, str] = PROGRAMS) -> list[str]:
    """The packages of these programs that are not there yet, sorted."""
    wanted = {package for program, package in programs.items() if not shutil.which(program, path=SEARCH)}
    keyring = set() if any(Path("/usr/share/keyrings").glob(KEYRING)) else {"debian-archive-keyring"}
    return sorted(wanted | keyring)


def ensure(agree: Callable[[list[str]], bool], programs: Mapping[str, str] = PROGRAMS) -> None:
    """Install what is missing, once `agree` has said yes to the list; raises LabError where it did not."""
    wanted = missing(programs)
    if not wanted:
        return
    by_hand = f"sudo apt-get install --no-install-recommends {' '.join(wanted)}"
    if not shutil.which("apt-get"):
        raise LabError(
            f"the lab needs {', '.join(wanted)}, and this machine has no apt-get", hint="use Debian"
        )
    if not agree(wanted):
        raise LabError(f"the lab needs the Debian packages {', '.join(wanted)}", hint=by_hand)
    _install(wanted)
    if still := missing(programs):
        raise LabError(f"apt-get ran, and still missing: {', '.join(still)}", hint=by_hand)


def _install(packages: list[str]) -> None:
    command = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages]
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for words in (["apt-get", "update", "-q"], command):
        done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
        if done.returncode != 0:
            said = "; ".join((done.stderr or done.stdout).strip().splitlines()[-3:])
            raise LabError(f"{' '.join(words)} failed: {said}", hint="see what apt-get says by hand")
