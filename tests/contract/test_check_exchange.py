"""The check that keepalived asks: fit or unfit, on scripted exchanges, with the real script."""

import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from mxfleet.render import render
from tests.unit.render.samples import fleet_of, inputs_of, signing_of

PEER = "127.0.0.2"
FIT, UNFIT = 0, 1
GREETING = {"": b"220 mx\r\n", "EHLO": b"250-mx\r\n250 SIZE\r\n", "QUIT": b"221 bye\r\n"}


@contextmanager
def listening(address: str, port: int, serve: Callable[[socket.socket], None]) -> Iterator[int]:
    with socket.create_server((address, port)) as server:

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection, suppress(OSError):
                    serve(connection)

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def smtp(replies: dict[str, bytes]) -> Callable[[socket.socket], None]:
    def serve(connection: socket.socket) -> None:
        connection.sendall(replies[""])
        for line in connection.makefile("rb"):
            connection.sendall(replies.get(line[:4].decode(), b"500 what\r\n"))
            if line.startswith(b"QUIT"):
                return

    return serve


def health(commits: bool) -> Callable[[socket.socket], None]:
    def serve(connection: socket.socket) -> None:
        connection.recv(1000)
        body = b'{"commits": true, "queue": 1}' if commits else b'{"commits": false, "queue": 1}'
        connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n" + body)

    return serve


def silent(connection: socket.socket) -> None:
    time.sleep(10)


class Stage:
    """The ports of one node and of one peer, as a test sets them up."""

    def __init__(self, stack: ExitStack, directory: Path) -> None:
        self.stack, self.script = stack, directory / "check-exchange"
        with socket.create_server((PEER, 0)) as free:
            self.health_port: int = free.getsockname()[1]
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.smtp_port: int = free.getsockname()[1]

    def node(self, *, answers: Callable[[socket.socket], None] | None, commits: bool | None) -> None:
        if answers:
            self.stack.enter_context(listening("127.0.0.1", self.smtp_port, answers))
        if commits is not None:
            self.stack.enter_context(listening("127.0.0.1", self.health_port, health(commits)))

    def peer(self, serve: Callable[[socket.socket], None]) -> None:
        self.stack.enter_context(listening(PEER, self.health_port, serve))

    def verdict(self) -> tuple[int, float]:
        fleet = fleet_of("lab")
        files = render(fleet, fleet.nodes[0], signing_of(fleet), inputs_of(fleet))
        text = next(file.text for file in files if file.path.endswith("/check-exchange"))
        peers = next(line for line in text.splitlines() if line.startswith("peers="))
        text = text.replace(peers, f"peers=({PEER})").replace("127.0.0.1/25", f"127.0.0.1/{self.smtp_port}")
        self.script.write_text(text.replace("/8025", f"/{self.health_port}"))
        self.script.chmod(0o755)
        begun = time.monotonic()
        code = subprocess.run([self.script], check=False).returncode
        return code, time.monotonic() - begun


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    assert shutil.which("bash")
    with ExitStack() as stack:
        yield Stage(stack, tmp_path)


def test_a_node_that_answers_and_commits_is_fit(stage: Stage) -> None:
    stage.node(answers=smtp(GREETING), commits=True)
    assert stage.verdict()[0] == FIT


def test_a_node_whose_port_is_closed_is_unfit_at_once(stage: Stage) -> None:
    code, seconds = stage.verdict()
    assert code == UNFIT
    assert seconds < 0.5


@pytest.mark.parametrize(
    "replies",
    [
        {**GREETING, "": b"421 4.3.2 not now\r\n"},
        {**GREETING, "EHLO": b"502 5.5.1 no\r\n"},
        {**GREETING, "QUIT": b"500 5.5.2 no\r\n"},
    ],
    ids=["at the greeting", "at EHLO", "at QUIT"],
)
def test_a_node_that_refuses_the_dialogue_is_unfit(stage: Stage, replies: dict[str, bytes]) -> None:
    stage.node(answers=smtp(replies), commits=True)
    assert stage.verdict()[0] == UNFIT


def test_a_dialogue_that_a_restart_cuts_short_is_tried_once_more(stage: Stage) -> None:
    seen: list[int] = []

    def first_cut_then_fine(connection: socket.socket) -> None:
        seen.append(1)
        smtp({**GREETING, "": b"421 4.3.2 restarting\r\n"} if len(seen) == 1 else GREETING)(connection)

    stage.node(answers=first_cut_then_fine, commits=True)
    assert stage.verdict()[0] == FIT
    assert len(seen) == 2


def test_a_node_that_accepts_and_says_nothing_is_unfit_within_the_check_s_time(stage: Stage) -> None:
    stage.node(answers=silent, commits=True)
    code, seconds = stage.verdict()
    assert code == UNFIT
    assert seconds < 3


def test_a_node_that_cannot_commit_is_unfit_where_a_peer_can(stage: Stage) -> None:
    stage.node(answers=smtp(GREETING), commits=False)
    stage.peer(health(True))
    assert stage.verdict()[0] == UNFIT


@pytest.mark.parametrize("peer", [health(False), silent], ids=["cannot either", "does not say"])
def test_a_node_that_cannot_commit_keeps_the_address_where_no_peer_can(
    stage: Stage, peer: Callable[[socket.socket], None]
) -> None:
    stage.node(answers=smtp(GREETING), commits=False)
    stage.peer(peer)
    code, seconds = stage.verdict()
    assert code == FIT
    assert seconds < 3


def test_a_node_that_cannot_commit_keeps_the_address_where_the_peers_are_down(stage: Stage) -> None:
    stage.node(answers=smtp(GREETING), commits=None)
    assert stage.verdict()[0] == FIT
