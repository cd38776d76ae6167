"""One deploy at a time, from whatever machine: each node's lock is held by the very connection that would change it.

`flock` on the node, held by a process at the far end of the run's own ssh connection. The lock lives exactly as
long as the connection, so a run that died, or lost its network, holds nothing; nothing has to be cleaned up.
"""

import getpass
import shlex
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from threading import Lock
from typing import Any

from pyinfra.api.host import Host

PATH = "/run/mxfleet/deploy.lock"
ANSWER_WITHIN = 15
"""Seconds in which a node must have said whether the lock is ours."""
TAKEN, HOLDER = "taken", "held by "


@dataclass(frozen=True, slots=True)
class Refused:
    """The node whose lock is not ours, why, and what to do."""

    node: str
    reason: str
    remedy: str


_taking = Lock()
_held: list[Any] = []
"""The channels, open until this process ends."""
_refused: list[Refused] = []


def take(hosts: Iterable[Host], then: Callable[[], None]) -> Refused | None:
    """Take the locks of all hosts, once in a process, and hold them until it ends; `then` is called when all are ours.

    Always in the order of their names, so that of two runs exactly one goes on.
    """
    with _taking:
        if not _held and not _refused:
            for host in sorted(hosts, key=lambda host: host.name):
                channel, answer = ask(host, script(owner()))
                if answer != TAKEN:
                    _refused.append(refused(host.data.node.name, answer))
                    break
                _held.append(channel)
            else:
                then()
        return _refused[0] if _refused else None


def owner() -> str:
    """Who runs this, as the other operator knows him."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


def script(who: str) -> str:
    """Shell for root: says `taken` and holds the lock until standard input ends, or says who has it.

    Waits a second for a run that is just ending; a moment longer for the other's name, which is written after the lock is taken.
    """
    return f"""umask 077; mkdir -p {PATH.rpartition("/")[0]}; exec 9>>{PATH}
if flock -w 1 9; then
    echo {shlex.quote(who)} since "$(date -u '+%Y-%m-%d %H:%M:%S UTC')" >{PATH}
    echo {TAKEN}; exec cat >/dev/null
fi
sleep 0.1; holder=$(head -n 1 {PATH}); echo "{HOLDER}${{holder:-somebody}}\""""


def refused(node: str, answer: str) -> Refused:
    """What an answer other than `taken` means."""
    if answer.startswith(HOLDER):
        return Refused(
            node,
            f"{answer.removeprefix(HOLDER)} is deploying this node; nothing was changed",
            "wait until that run has ended, then run it again (the lock of a run that died is gone within a minute)",
        )
    return Refused(
        node, f"the deploy lock cannot be taken: {answer or 'no answer'}; nothing was changed", "run it again"
    )


def ask(host: Host, command: str) -> tuple[Any, str]:
    """Run a command in a channel of the run's own connection, which stays open; its first line."""
    connector: Any = host.connector  # pyinfra's ssh connector: inventories have no other
    transport = connector.client.get_transport()
    channel = transport.open_session(timeout=ANSWER_WITHIN)
    channel.settimeout(ANSWER_WITHIN)
    channel.exec_command(f"sudo -n sh -c {shlex.quote(command)}")
    try:
        answer = channel.makefile().readline() or channel.makefile_stderr().readline()
    except TimeoutError:
        answer = f"no answer in {ANSWER_WITHIN} s"
    return channel, answer.strip()
