"""A restart under load, on sockets that somebody else keeps open, as systemd does: nobody notices but by waiting."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.mxd.conftest import Service, Sink
from tests.unit.mxd.conftest import mailbox_server as mailbox_server
from tests.unit.mxd.conftest import service as service
from tests.unit.mxd.conftest import workshop as workshop

KNOCKING = Path(__file__).parents[1] / "lab" / "knocking.py"
RESTARTS, WAIT = 3, 30.0
"""How often; seconds within which everybody must have been greeted, on a busy machine too."""
# sd_listen_fds(3): the sockets are descriptors 3, 4, … and the variable names the very process.
LAUNCH = """import os, sys
descriptors = [int(number) for number in os.environ.pop("OPEN").split()]
moved = [os.dup2(one, 100 + at) for at, one in enumerate(descriptors)]
for at, one in enumerate(moved):
    os.dup2(one, 3 + at)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(moved)))
os.execv(sys.executable, [sys.executable, "-m", "mxfleet.mxd", *sys.argv[1:]])
"""


@pytest.fixture
def listeners() -> Iterator[list[tuple[str, socket.socket]]]:
    """Listening sockets as the .socket units have them: smtp on v4 and v6, submissions on v4."""
    with contextlib.ExitStack() as stack:
        made = []
        places = (
            ("smtp", "127.0.0.1"),
            ("smtp", "::1"),
            ("submissions", "127.0.0.1"),
            ("health", "127.0.0.1"),
        )
        for name, host in places:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            listener = stack.enter_context(socket.socket(family))
            listener.bind((host, 0))
            listener.listen(1024)
            made.append((name, listener))
        yield made


def start(service: Service, listeners: list[tuple[str, socket.socket]]) -> None:
    """A new mxd on the sockets, ready or not."""
    numbers = [listener.fileno() for _, listener in listeners]
    environment = os.environ | {
        "OPEN": " ".join(map(str, numbers)),
        "LISTEN_FDNAMES": ":".join(name for name, _ in listeners),
    }
    (service.directory / "run" / "digest").unlink(missing_ok=True)
    command = [sys.executable, "-c", LAUNCH, "--settings", str(service.path), "serve"]
    with (service.directory / "log").open("ab") as log:
        service.process = subprocess.Popen(
            command, stderr=log, env=environment, pass_fds=numbers, start_new_session=True
        )


def await_ready(service: Service) -> None:
    service.wait(lambda: (service.directory / "run" / "digest").exists())


def place(listener: socket.socket) -> tuple[str, int]:
    host, port = listener.getsockname()[:2]
    return str(host), int(port)


@contextlib.contextmanager
def visited(job: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A client at work while the context lasts; the value is filled when it ends."""
    told: dict[str, Any] = {}
    with subprocess.Popen(
        [sys.executable, str(KNOCKING)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as client:
        assert client.stdin
        client.stdin.write(json.dumps(job) + "\n")
        client.stdin.flush()
        try:
            yield told
        finally:
            output, _ = client.communicate(timeout=120)
            told.update(json.loads(output))


def test_a_restart_under_load_refuses_nobody_and_loses_nothing(
    service: Service, listeners: list[tuple[str, socket.socket]], mailbox_server: Sink
) -> None:
    service.settings["service"]["workers"] = 2
    service.settings["domain"][0]["route"]["port"] = mailbox_server.port
    service.write()
    smtp4, smtp6, submissions, _ = (place(listener) for _, listener in listeners)
    job = {
        "knock": [[*smtp4, False], [*smtp4, False], [*smtp6, False], [*smtp6, False], [*submissions, True]],
        "send": [smtp4, smtp6],
        "sender": "carol@peer.test", "recipient": "alice@corp.test", "pause": 0,
    }  # fmt: skip
    start(service, listeners)
    await_ready(service)
    with visited(job) as told:
        for _ in range(RESTARTS):
            time.sleep(0.5)
            assert service.stop() == 0
            start(service, listeners)
            await_ready(service)
        time.sleep(0.5)
    assert told["wrong"] == {}
    assert {greeting.split()[-1] for greeting in told["greetings"]} == {"220"}
    assert len(told["greetings"]) == 3, "both families and implicit TLS"
    assert told["longest"] < WAIT
    arrived: Counter[str] = Counter()

    def delivered() -> bool:
        texts = [body for _, _, body in mailbox_server.messages]
        arrived.update(token for token in told["acknowledged"] for body in texts if token.encode() in body)
        return True

    assert len(told["acknowledged"]) > RESTARTS
    service.wait(lambda: service.waiting() == 0)
    assert delivered()
    assert {token: arrived[token] for token in told["acknowledged"] if arrived[token] != 1} == {}
