"""sd_notify(3): one datagram, nothing where systemd does not listen."""

import contextlib
import socket
from collections.abc import Mapping


def notify(environment: Mapping[str, str], state: str) -> None:
    """Tell systemd `READY=1`, `STOPPING=1`, `STATUS=…`; never fails."""
    path = environment.get("NOTIFY_SOCKET", "")
    if not path:
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.sendto(state.encode(), address)
