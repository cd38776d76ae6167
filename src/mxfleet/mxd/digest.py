"""What a process loaded, as one number: the deploy restarts the service where it differs."""

import hashlib
from collections.abc import Mapping

from mxfleet import __version__


def digest(files: Mapping[str, bytes], version: str = __version__) -> str:
    """SHA-256 in hex over the release's version and each file's path and octets, whatever their order."""
    total = hashlib.sha256(f"mxd {version}\n".encode())
    for path in sorted(files):
        total.update(f"{path} {len(files[path])} ".encode())
        total.update(hashlib.sha256(files[path]).digest())
    return total.hexdigest()
