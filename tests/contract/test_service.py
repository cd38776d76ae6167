"""mxd as a whole: a real process on loopback, smtplib as its client, sinks as next hops."""

import base64
import contextlib
import json
import re
import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import dkim
import pytest

from mxfleet.mail.dkim.key import SigningKey
from mxfleet.mail.dkim.record import record_text
from mxfleet.mxd import asking
from tests.unit.mxd.conftest import mailbox_server as mailbox_server
from tests.unit.mxd.conftest import make_sink as make_sink
from tests.unit.mxd.conftest import running as running
from tests.unit.mxd.conftest import service as service
from tests.unit.mxd.conftest import workshop as workshop

PASSWORD = "correct horse"


def letter(subject: str, sender: str = "carol@peer.test", body: str = "Body\r\n.dot\r\n") -> bytes:
    return f"From: <{sender}>\r\nTo: you\r\nSubject: {subject}\r\n\r\n{body}".encode()


def unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


@contextlib.contextmanager
def client(port: int, tls: str = "", login: str = "") -> Iterator[smtplib.SMTP]:
    implicit = tls == "implicit"
    made = (
        smtplib.SMTP_SSL("127.0.0.1", port, context=unverified())
        if implicit
        else smtplib.SMTP("127.0.0.1", port)
    )
    with made as session:
        session.ehlo("client.test")
        if tls == "starttls":
            session.starttls(context=unverified())
            session.ehlo("client.test")
        if login:
            session.login(login, PASSWORD)
        yield session


def transaction(session: smtplib.SMTP, sender: str, recipients: list[str], message: bytes) -> tuple[int, str]:
    assert session.mail(sender)[0] == 250
    for recipient in recipients:
        assert session.rcpt(recipient)[0] == 250
    code, text = session.data(message)
    return code, text.decode()


def trace_of(answer: tuple[int, str]) -> str:
    match = re.fullmatch(r"2\.0\.0 accepted as (\S+)", answer[1])
    assert match, answer
    return match[1]


# ── receiving ───────────────────────────────────────────────────────────────────────────────────────────


def test_mail_for_a_listed_recipient_reaches_its_mailbox_server_as_it_was_sent(
    running: Any, mailbox_server: Any
) -> None:
    sent = letter("as it was sent")
    with client(running.ports["smtp"]) as session:
        trace = trace_of(transaction(session, "carol@peer.test", ["alice@corp.test"], sent))
    sender, recipients, body = mailbox_server.wait_for(b"as it was sent")
    assert (sender, recipients) == (
        "MAIL FROM:<carol@peer.test> BODY=8BITMIME",
        ["RCPT TO:<alice@corp.test>"],
    ) or (sender.startswith("MAIL FROM:<carol@peer.test>"))
    head, _, rest = body.partition(b"From: <carol")
    assert head.startswith(b"Received: from client.test (unknown [127.0.0.1])")
    assert f"id {trace}".encode() in head
    assert b"for <alice@corp.test>" in head
    assert b"From: <carol" + rest == sent


def test_the_trace_id_is_in_every_line_of_a_message_s_life(running: Any, mailbox_server: Any) -> None:
    with client(running.ports["smtp"]) as session:
        trace = trace_of(transaction(session, "carol@peer.test", ["alice@corp.test"], letter("traced")))
    mailbox_server.wait_for(b"traced")
    running.wait(lambda: any(line.get("trace") == trace for line in running.log("delivered")))
    lines = [line for line in running.log() if line.get("trace") == trace]
    assert [line["event"] for line in lines] == ["accepted", "delivered"]
    assert lines[0]["client"] == "127.0.0.1"
    assert lines[1]["reply"] == "250 2.0.0 kept"


@pytest.mark.parametrize(
    ("recipient", "code", "text"),
    [
        ("nobody@corp.test", 550, "5.1.1 No such mailbox here"),
        ("x@elsewhere.test", 550, "5.7.1 Relaying denied"),
        ("alice@sub.corp.test", 550, "5.7.1 Relaying denied"),
    ],
)
def test_who_is_not_here_is_refused_at_rcpt(running: Any, recipient: str, code: int, text: str) -> None:
    with client(running.ports["smtp"]) as session:
        session.mail("carol@peer.test")
        assert session.rcpt(recipient) == (code, text.encode())


@pytest.mark.parametrize("recipient", ["postmaster", "Postmaster@corp.test"])
def test_mail_to_the_postmaster_reaches_him(running: Any, mailbox_server: Any, recipient: str) -> None:
    with client(running.ports["smtp"]) as session:
        session.mail("carol@peer.test")
        assert session.docmd(f"RCPT TO:<{recipient}>")[0] == 250
        assert session.data(letter(f"to {recipient} himself"))[0] == 250
    _, recipients, _ = mailbox_server.wait_for(f"to {recipient} himself".encode())
    assert recipients == ["RCPT TO:<alice@corp.test>"]


def test_port_25_offers_no_auth_and_takes_starttls(running: Any, mailbox_server: Any) -> None:
    with client(running.ports["smtp"], "starttls") as session:
        assert not session.has_extn("auth")
        assert transaction(session, "", ["bob@corp.test"], letter("encrypted"))[0] == 250
    _, _, body = mailbox_server.wait_for(b"encrypted")
    assert re.search(rb"with ESMTPS id \S+ \(using TLSv1\.3 with cipher \S+\)", body)


def test_certificates_are_chosen_by_server_name(running: Any) -> None:
    subjects = []
    for name in ("mx.corp.test", "submit.corp.test", "unknown.test"):
        with (
            socket.create_connection(("127.0.0.1", running.ports["submissions"])) as plain,
            unverified().wrap_socket(plain, server_hostname=name) as connection,
        ):
            chain = connection.getpeercert(binary_form=True)
            subjects.append(next(n for n in (b"mx.corp", b"submit.corp") if n in (chain or b"")))
    assert subjects == [b"mx.corp", b"submit.corp", b"mx.corp"]


def test_old_protocols_are_refused(running: Any) -> None:
    context = unverified()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AES128-SHA:@SECLEVEL=0")
    with (
        socket.create_connection(("127.0.0.1", running.ports["submissions"])) as plain,
        pytest.raises(ssl.SSLError),
    ):
        context.wrap_socket(plain, server_hostname="mx.corp.test")
    running.wait(
        lambda: re.search(r"^mxd_tls_failures_total [1-9]", running.get("/metrics", decode=False)[1], re.M)
    )


def test_a_large_message_streams_through(running: Any, mailbox_server: Any) -> None:
    body = "".join(f"line {n} of a large message\r\n" for n in range(60_000))
    sent = letter("large", body=body)
    with client(running.ports["smtp"]) as session:
        assert transaction(session, "carol@peer.test", ["alice@corp.test"], sent)[0] == 250
    _, _, received = mailbox_server.wait_for(b"Subject: large\r\n")
    assert received.endswith(sent)


def test_a_message_in_a_loop_is_refused(running: Any) -> None:
    message = b"Received: by somebody\r\n" * 51 + letter("round and round")
    with client(running.ports["smtp"]) as session:
        code, text = transaction(session, "carol@peer.test", ["alice@corp.test"], message)
    assert (code, text[:5]) == (554, "5.4.6")


# ── submission ──────────────────────────────────────────────────────────────────────────────────────────


def test_submission_offers_auth_only_inside_tls_and_demands_it(running: Any) -> None:
    with client(running.ports["submission"]) as session:
        assert not session.has_extn("auth")
        assert session.has_extn("starttls")
        assert session.mail("alice@corp.test")[0] == 530
    with client(running.ports["submission"], "starttls") as session:
        assert session.has_extn("auth")
        assert session.mail("alice@corp.test") == (530, b"5.7.0 Authentication required")


@pytest.mark.parametrize(("name", "tls"), [("submission", "starttls"), ("submissions", "implicit")])
def test_submitted_mail_is_completed_signed_twice_and_delivered(
    running: Any, mailbox_server: Any, workshop: Any, name: str, tls: str
) -> None:
    message = letter(f"signed {name}", "alice@corp.test")
    with client(running.ports[name], tls, "alice@corp.test") as session:
        trace = trace_of(transaction(session, "alice@corp.test", ["bob@corp.test"], message))
    _, _, body = mailbox_server.wait_for(f"signed {name}".encode())
    assert f"Message-ID: <{trace}@mx1.corp.test>".encode() in body
    assert b"\r\nDate: " in body
    assert b"ESMTPSA" in body
    assert verifies(body, workshop, 0)
    assert verifies(body, workshop, 1)
    assert not verifies(body.replace(b"Body", b"Bodx"), workshop, 0)


def verifies(message: bytes, workshop: Any, number: int) -> bool:
    keys = {"r1": workshop.rsa_key, "e1": workshop.ed25519_key}

    def txt(name: bytes, timeout: int = 5) -> bytes:
        key = SigningKey.from_pem(
            keys[name.decode().split(".")[0]].read_bytes(), domain="corp.test", selector="s"
        )
        return record_text(key.public).encode()

    try:
        return bool(dkim.DKIM(message).verify(idx=number, dnsfunc=txt))  # type: ignore[no-untyped-call]
    except dkim.ValidationError:
        return False


def test_a_large_submitted_message_is_signed_too(running: Any, mailbox_server: Any, workshop: Any) -> None:
    body = "".join(f"line {n} of a large message\r\n" for n in range(20_000))
    with client(running.ports["submissions"], "implicit", "alice@corp.test") as session:
        message = letter("large and signed", "alice@corp.test", body)
        assert transaction(session, "alice@corp.test", ["bob@corp.test"], message)[0] == 250
    assert verifies(mailbox_server.wait_for(b"large and signed")[2], workshop, 0)


def test_a_wrong_password_and_an_unknown_user_get_the_same_answer(running: Any) -> None:
    for user in ("alice@corp.test", "mallory@corp.test"):
        with client(running.ports["submissions"], "implicit") as session:
            with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
                session.login(user, "wrong horse")
            assert (refused.value.smtp_code, refused.value.smtp_error[:5]) == (535, b"5.7.8")
    assert "wrong horse" not in (running.directory / "log").read_text()


def test_an_account_sends_only_as_itself(running: Any) -> None:
    with client(running.ports["submissions"], "implicit", "alice@corp.test") as session:
        assert session.mail("bob@corp.test")[0] == 553
        assert session.mail("Info@corp.test")[0] == 250
        session.rset()
        answer = transaction(session, "alice@corp.test", ["bob@corp.test"], letter("x", "bob@corp.test"))
        assert (answer[0], answer[1][:5]) == (550, "5.7.1")
        answer = transaction(session, "alice@corp.test", ["bob@corp.test"], b"Subject: nobody\r\n\r\nx\r\n")
        assert (answer[0], answer[1][:5]) == (550, "5.6.0")


# ── delivery ────────────────────────────────────────────────────────────────────────────────────────────


def submit(service: Any, recipients: list[str], subject: str) -> str:
    with client(service.ports["submissions"], "implicit", "alice@corp.test") as session:
        message = letter(subject, "alice@corp.test")
        return trace_of(transaction(session, "alice@corp.test", recipients, message))


def add_domain(service: Any, name: str, sink: Any) -> None:
    kind = "lmtp" if sink.lmtp else "smtp"
    route = {"kind": kind, "host": "127.0.0.1", "port": sink.port}
    service.settings["domain"].append({"name": name, "recipients": ["u", "v"], "route": route})


def test_what_is_deferred_is_tried_again_until_it_is_delivered(
    service: Any, make_sink: Callable[..., Any]
) -> None:
    sink = make_sink(lmtp=False)
    sink.replies["RCPT"] = "451 4.7.1 greylisted"
    add_domain(service, "next.test", sink)
    service.start()
    submit(service, ["u@next.test"], "try again")
    service.wait(lambda: bool(service.log("deferred")))
    (item,) = service.json("queue", "list", "--json")
    assert (item["recipients"], item["reply"]) == (["u@next.test"], "451 4.7.1 greylisted")
    assert "1 deliveries" in service.mxd("queue", "summary").stdout
    sink.replies.clear()
    sink.wait_for(b"try again")
    service.wait(lambda: service.waiting() == 0)


def test_a_refused_recipient_bounces_to_who_submitted_and_the_others_are_delivered(
    service: Any, make_sink: Callable[..., Any]
) -> None:
    mailboxes, sink = make_sink(), make_sink(lmtp=False)
    service.settings["domain"][0]["route"]["port"] = mailboxes.port
    sink.replies["RCPT TO:<u@next.test>"] = "550 5.1.1 nobody of that name"
    add_domain(service, "next.test", sink)
    service.start()
    trace = submit(service, ["u@next.test", "v@next.test"], "half of it")
    _, recipients, _ = sink.wait_for(b"half of it")
    assert recipients == ["RCPT TO:<v@next.test>"]
    sender, recipients, report = mailboxes.wait_for(b"multipart/report")
    assert (sender.split(" BODY")[0].split(" SIZE")[0], recipients) == (
        "MAIL FROM:<>",
        ["RCPT TO:<alice@corp.test>"],
    )
    for line in (
        b"Final-Recipient: rfc822; u@next.test\r\nAction: failed\r\nStatus: 5.1.1\r\n",
        b"Diagnostic-Code: smtp; 550 5.1.1 nobody of that name",
        b"Subject: half of it",
        trace.encode(),
    ):
        assert line in report
    assert b"v@next.test" not in report.split(b"text/rfc822-headers")[0]


def test_mail_from_elsewhere_never_bounces(service: Any, make_sink: Callable[..., Any]) -> None:
    sink = make_sink()
    sink.replies["message"] = "550 5.7.1 not this"
    service.settings["domain"][0]["route"]["port"] = sink.port
    service.start()
    with client(service.ports["smtp"]) as session:
        transaction(session, "carol@peer.test", ["alice@corp.test"], letter("no backscatter"))
    service.wait(lambda: bool(service.log("failed")))
    service.wait(lambda: service.waiting() == 0)
    assert service.log("bounced") == []


def test_a_host_that_hangs_does_not_hold_up_the_others(service: Any, make_sink: Callable[..., Any]) -> None:
    hanging, quick = make_sink(lmtp=False), make_sink(lmtp=False)
    hanging.hang = True
    add_domain(service, "hanging.test", hanging)
    add_domain(service, "quick.test", quick)
    service.settings["delivery"] = {"attempts": 20, "per_destination": 2}
    service.start()
    for n in range(25):
        submit(service, ["u@hanging.test"], f"stuck {n}")
    hanging.wait(lambda: hanging.connections >= 2)
    submit(service, ["u@quick.test"], "passes by")
    quick.wait_for(b"passes by", 8.0)
    assert hanging.connections == 2
    service.stop(service.KILL)


# ── the process ─────────────────────────────────────────────────────────────────────────────────────────


def test_health_tells_peers_whether_a_commit_works(running: Any) -> None:
    status, report = running.get("/healthz")
    assert (status, report["commits"], report["node"]) == (200, True, "mx1")
    assert report["digest"] == (running.directory / "run" / "digest").read_text().strip()
    assert report["digest"] == running.mxd("digest").stdout.strip()
    assert running.mxd("health", "--wait", "5").returncode == 0


def test_metrics_count_over_all_processes(running: Any) -> None:
    status, text = running.get("/metrics", decode=False)
    assert status == 200
    assert re.search(r"^mxd_messages_accepted_total \d+", text, re.MULTILINE)
    assert running.get("/other", decode=False)[0] == 404


def test_a_worker_that_dies_is_started_again(service: Any) -> None:
    service.start()
    for child in service.children():
        service.kill(child)
    service.wait(lambda: len(service.log("a process died")) == 2)
    time.sleep(0.1)
    service.wait(lambda: service.get("/healthz")[0] == 200)
    with client(service.ports["smtp"]) as session:
        assert transaction(session, "", ["alice@corp.test"], letter("still here"))[0] == 250


def test_an_end_lets_a_transaction_finish_and_tells_the_idle(service: Any) -> None:
    service.start()
    with client(service.ports["smtp"]) as idle, client(service.ports["smtp"]) as busy:
        busy.mail("carol@peer.test")
        busy.rcpt("alice@corp.test")
        service.terminate()
        assert idle.getreply()[0] == 421
        assert busy.data(letter("just in time"))[0] == 250
        assert busy.getreply()[0] == 421
    assert service.stop() == 0
    assert [i["recipients"] for i in service.json("queue", "list", "--json")] == [["alice@corp.test"]]


def test_killed_at_any_moment_each_acknowledged_message_is_delivered_after_the_restart(
    service: Any, make_sink: Callable[..., Any]
) -> None:
    sink = make_sink()
    promised = []
    for life in range(2):
        service.start()
        with (
            contextlib.suppress(smtplib.SMTPException, ConnectionError),
            client(service.ports["smtp"]) as session,
        ):
            for n in range(100_000):
                if n == 25:
                    threading.Timer(0.004 * life, service.stop, [service.KILL]).start()
                answer = transaction(session, "", ["alice@corp.test"], letter(f"promise {life}.{n};"))
                promised.append((f"promise {life}.{n};", trace_of(answer)))
        service.stop(service.KILL)
    assert len(promised) >= 50
    service.settings["domain"][0]["route"]["port"] = sink.port
    service.start()
    assert service.mxd("queue", "retry", "--all").returncode == 0
    sink.wait(lambda: len(sink.messages) >= len(promised))
    service.wait(lambda: service.waiting() == 0)
    bodies = [body for _, _, body in sink.messages]
    for subject, trace in promised:
        assert sum(subject.encode() in body and trace.encode() in body for body in bodies) == 1


def test_guessing_passwords_is_slowed_down(service: Any) -> None:
    service.start()
    guess = base64.b64encode(b"\0alice@corp.test\0wrong").decode()
    codes = []
    for _ in range(7):
        with client(service.ports["submissions"], "implicit") as session:
            codes.append(session.docmd("AUTH", f"PLAIN {guess}")[0])
    assert codes[:5] == [535] * 5
    assert 454 in codes[5:]


def test_a_service_that_cannot_open_its_spool_says_so_and_ends(service: Any) -> None:
    service.settings["paths"]["spool"] = str(service.directory / "nowhere" / "spool.sqlite")
    service.write()
    done = service.mxd("serve", f"--listen=smtp=127.0.0.1:{service.ports['smtp']}")
    assert done.returncode == 1
    assert "spool.sqlite: cannot be opened: unable to open database file" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_service_that_runs_says_which_keys_it_has_loaded(running: Any) -> None:
    said = json.loads(running.mxd("signing").stdout)
    assert said["running"] is True
    loaded = asking.ask(running.directory / "run", {"verb": "signing"})
    assert isinstance(loaded, list)
    assert len(loaded) == len(said["signing"]) > 0
    assert all(key in said["signing"] for key in loaded)
