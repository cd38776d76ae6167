"""Limits of a running service: two workers share each of them, and who is slow or greedy is told so."""

import base64
import contextlib
import smtplib
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.unit.mxd.conftest import PASSWORD, Service, Sink, Workshop, make_service
from tests.unit.mxd.conftest import make_sink as make_sink
from tests.unit.mxd.conftest import workshop as workshop


@pytest.fixture
def node(tmp_path: Path, workshop: Workshop) -> Iterator[Service]:
    """Two workers, not started."""
    made = make_service(tmp_path, workshop)
    made.settings["service"] |= {"workers": 2, "sessions_per_address": 6}
    yield made
    assert made.stop() == 0, (tmp_path / "log").read_text()[-3000:]


def connect(node: Service, client: str = "127.0.0.2", name: str = "smtp") -> socket.socket:
    found = socket.create_connection(("127.0.0.1", node.ports[name]), 30, (client, 0))
    found.settimeout(30)
    return found


def banner(node: Service, client: str = "127.0.0.2") -> tuple[socket.socket, str]:
    found = connect(node, client)
    return found, found.recv(1000).decode()


def test_two_workers_share_the_sessions_of_an_address_and_forget_those_of_a_dead_one(node: Service) -> None:
    node.start()
    with contextlib.ExitStack() as held:
        said = []
        for _ in range(20):
            found, text = banner(node)
            held.enter_context(found)
            said.append(text[:9])
        assert [text[:3] for text in said].count("220") == 6, said
        assert [text for text in said if text[:3] != "220"] == ["421 4.7.0"] * 14
        other, text = banner(node, "127.0.0.3")
        held.enter_context(other)
        assert text.startswith("220 ")
        (first, *_) = node.log("limit reached")
        assert (first["limit"], first["client"]) == ("sessions_per_address", "127.0.0.2")
        for pid in node.children():
            node.kill(pid)
        node.wait(lambda: len(node.log("a process died")) == 3)

    def admitted() -> bool:
        with contextlib.suppress(OSError):
            found, text = banner(node)
            found.close()
            return text.startswith("220 ")
        return False

    node.wait(admitted)


def test_two_workers_share_the_rate_of_an_address(node: Service) -> None:
    node.settings["limits"] = {"connections_per_address": 10}
    node.start()
    said = []
    for _ in range(14):
        found, text = banner(node)
        said.append(text[:3])
        found.close()
    assert (said.count("220"), said.count("421")) == (10, 4)


def login(node: Service, client: str, password: str) -> int:
    """The code of one AUTH PLAIN."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with smtplib.SMTP_SSL(
        "127.0.0.1", node.ports["submissions"], context=context, source_address=(client, 0)
    ) as session:
        session.ehlo("c")
        token = base64.b64encode(f"\0alice@corp.test\0{password}".encode()).decode()
        return session.docmd("AUTH", f"PLAIN {token}")[0]


def test_two_workers_share_the_failures_of_a_user(node: Service) -> None:
    node.settings["limits"] = {"login_failures_per_user": 4, "login_pause": 3600.0}
    node.start()
    assert login(node, "127.0.0.7", PASSWORD) == 235
    codes = [login(node, f"127.0.0.{10 + n}", "wrong") for n in range(14)]
    assert codes[:4] == [535] * 4
    assert 454 in codes[4:6]
    assert codes.count(535) <= 10
    assert login(node, "127.0.0.7", PASSWORD) == 235  # where she came in before
    assert {line["process"] for line in node.log("login failed")} <= {"worker 1", "worker 2"}


def test_a_client_that_sends_a_command_octet_by_octet_is_told_to_go(node: Service) -> None:
    node.settings["service"]["command_timeout"] = 2.0
    node.start()
    found, _ = banner(node)
    begun = time.monotonic()
    with contextlib.closing(found):
        found.settimeout(0.2)
        said = b""
        while time.monotonic() - begun < 30 and not said:
            with contextlib.suppress(TimeoutError):
                found.send(b"N")
                said = found.recv(1000)
    assert said.startswith(b"421 4.4.2 ")
    (closed,) = node.log("closed")
    assert closed["reason"] == "timeout"


def test_messages_beyond_the_memory_of_a_process_are_refused_and_the_rest_goes_on(node: Service) -> None:
    node.settings["limits"] = {"memory": 400_000}
    node.settings["service"]["workers"] = 1
    node.start()
    piece = b"x" * 98 + b"\r\n"
    with contextlib.ExitStack() as held:
        senders = []
        for n in range(5):
            session = held.enter_context(
                smtplib.SMTP(
                    "127.0.0.1", node.ports["smtp"], timeout=30, source_address=(f"127.0.0.{n + 2}", 0)
                )
            )
            session.ehlo("c")
            session.mail("a@peer.test")
            session.rcpt("alice@corp.test")
            senders.append(session)
        codes = [session.docmd("DATA")[0] for session in senders]
        assert codes == [354] * 5
        for session in senders:
            session.send(b"Subject: x\r\n\r\n" + piece * 1500)  # stays in memory until its end
        node.wait(lambda: bool(node.log("message refused, memory is full")))
        replies = [session.docmd(".")[0] for session in senders]
        assert (replies.count(250) >= 2, 452 in replies, set(replies) <= {250, 452}) == (True, True, True)
        late = senders[0]
        assert late.mail("a@peer.test")[0] == 250
        assert late.rcpt("alice@corp.test")[0] == 250
        assert late.docmd("DATA")[0] == 354  # there is room again


def test_the_next_hop_is_asked_about_whom_the_lists_do_not_know(
    node: Service, make_sink: Callable[..., Sink]
) -> None:
    host = make_sink()
    host.replies["RCPT TO:<nobody@corp.test>"] = "550 5.1.1 nobody of that name"
    domain = node.settings["domain"][0]
    domain |= {"recipients": [], "call_ahead": True}
    domain["route"]["port"] = host.port
    node.settings["service"] |= {"postmaster": "", "workers": 1}
    node.settings["call_ahead"] = {"positive": 0.5, "negative": 0.5, "timeout": 5.0}
    node.start()
    with smtplib.SMTP("127.0.0.1", node.ports["smtp"]) as session:
        session.ehlo("c")
        session.mail("carol@peer.test")
        assert session.rcpt("nobody@corp.test") == (550, b"5.1.1 No such mailbox here")
        assert session.rcpt("alice@corp.test")[0] == 250
        assert session.rcpt("alice@corp.test")[0] == 250
        assert session.data(b"Subject: asked ahead\r\n\r\nhello\r\n")[0] == 250
    _, recipients, _ = host.wait_for(b"asked ahead")
    assert recipients == ["RCPT TO:<alice@corp.test>"]
    assert len(host.messages) == 1  # a probe sends none
    host.replies["RCPT"] = "421 4.3.2 closing"  # ends the connection that was kept
    host.shutdown()
    host.server_close()
    time.sleep(0.6)  # what is known is too old

    def answers() -> tuple[int, int]:
        with smtplib.SMTP("127.0.0.1", node.ports["smtp"]) as session:
            session.ehlo("c")
            session.mail("carol@peer.test")
            return session.rcpt("alice@corp.test")[0], session.rcpt("new@corp.test")[0]

    node.wait(lambda: answers() == (250, 451))
    assert len(node.log("next hop cannot be asked")) == 1
