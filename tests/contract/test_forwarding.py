"""mxd with a real unbound behind it: mail that goes on, what comes back, and who is told of what failed."""

import email
import email.policy
import re
import smtplib
from collections.abc import Iterator
from email.message import EmailMessage
from typing import Any

import dkim
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from mxfleet.mail.dkim.key import SigningKey
from mxfleet.mail.dkim.record import record_text
from mxfleet.mxd.command import main
from tests.contract.nameservers import zone_text
from tests.contract.resolving import resolver
from tests.unit.mxd.conftest import PASSWORD, Service, Sink, Workshop, make_service
from tests.unit.mxd.conftest import workshop as workshop

POLICY = '_dmarc TXT "v=DMARC1; p=none"'
ZONES = {
    "a.test": zone_text("a.test", '@ TXT "v=spf1 ip4:127.0.0.1 -all"', POLICY),
    "forged.test": zone_text("forged.test", '@ TXT "v=spf1 ip4:192.0.2.1 ?all"', POLICY),
}
KEYS = "a-key-of-reverse-paths-that-nobody-guesses\n"


def made_sink(*, lmtp: bool) -> Iterator[Sink]:
    sink = Sink(lmtp=lmtp)
    yield sink
    sink.shutdown()
    sink.server_close()


@pytest.fixture(scope="module")
def office() -> Iterator[Sink]:
    yield from made_sink(lmtp=True)


@pytest.fixture(scope="module")
def peer() -> Iterator[Sink]:
    """Every domain that is not ours."""
    yield from made_sink(lmtp=False)


@pytest.fixture(scope="module")
def exchange(
    tmp_path_factory: pytest.TempPathFactory, workshop: Workshop, office: Sink, peer: Sink
) -> Iterator[Service]:
    directory = tmp_path_factory.mktemp("exchange")
    made = make_service(directory, workshop)
    (directory / "srs.keys").write_text(KEYS)
    domain = made.settings["domain"][0]
    domain["route"]["port"] = office.port
    shop = {
        **domain,
        "name": "shop.test",
        "recipients": ["sales"],
        "separator": "+",
        "aliases": {"sales": ["sales", "carol@peer.test"], "gone": ["gone@peer.test"]},
        "catch_all": ["sales"],
    }
    made.settings["domain"] += [shop, {"name": "old.test", "rewrite_to": "shop.test"}]
    made.settings["relay"] = [
        {"name": "*", "route": {"kind": "smtp", "host": "127.0.0.1", "port": peer.port}}
    ]
    made.settings["forwarding"] = {"domain": "corp.test", "keys": str(directory / "srs.keys")}
    made.settings["evidence"] = {}
    peer.replies["RCPT TO:<gone@peer.test>"] = "550 5.1.1 nobody of that name"
    peer.replies["RCPT TO:<gone@a.test>"] = "550 5.1.1 nobody of that name either"
    with resolver(tmp_path_factory.mktemp("names"), ZONES) as names:
        made.settings["delivery"] = {"resolver": names}
        try:
            made.start()
            yield made
        finally:
            code = made.stop()
    assert code == 0, (made.directory / "log").read_text()[-3000:]


def send(exchange: Service, sender: str, recipient: str, subject: str) -> tuple[int, str]:
    raw = f"From: {sender or 'mailer@a.test'}\r\nSubject: {subject}\r\nDate: Tue, 24 Nov 2026 08:00:00 +0000\r\n\r\nbody\r\n"
    with smtplib.SMTP("127.0.0.1", exchange.ports["smtp"], local_hostname="mail.a.test") as client:
        client.ehlo()
        for reply in (client.mail(sender), client.rcpt(recipient)):
            if reply[0] >= 400:
                return reply[0], reply[1].decode()
        code, text = client.data(raw.encode())
        return code, text.decode()


def submit(exchange: Service, recipient: str, subject: str, *options: str, **mail: Any) -> None:
    raw = f"From: alice@corp.test\r\nSubject: {subject}\r\n\r\nthe body\r\n".encode()
    with smtplib.SMTP("127.0.0.1", exchange.ports["submission"], local_hostname="pc") as client:
        client.starttls()
        client.login("alice@corp.test", PASSWORD)
        client.sendmail("alice@corp.test", [recipient], raw, rcpt_options=list(options), **mail)


def read(octets: bytes) -> EmailMessage:
    parsed = email.message_from_bytes(octets, policy=email.policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def actions(report: EmailMessage) -> list[tuple[str, str, str]]:
    """Action, status and final recipient, of each group of a report."""
    assert report.get_content_type() == "multipart/report"
    status = list(report.iter_parts())[1]
    assert status.get_content_type() == "message/delivery-status"
    groups = list(status.iter_parts())[1:] if status.is_multipart() else []
    return [(str(g["Action"]), str(g["Status"]), str(g["Final-Recipient"])) for g in groups]


def path(sender: str) -> str:
    found = re.search(r"<(.*)>", sender)
    assert found
    return found[1]


@pytest.fixture(scope="module")
def forwarded(exchange: Service, peer: Sink) -> tuple[str, bytes]:
    """The reverse-path and the octets of a message that went on to the peer."""
    assert send(exchange, "dave@a.test", "sales@shop.test", "goes on")[0] == 250
    sender, recipients, octets = peer.wait_for(b"goes on")
    assert recipients == ["RCPT TO:<carol@peer.test>"]
    return path(sender), octets


def test_a_forward_has_our_reverse_path_and_the_copy_that_stays_has_the_sender_s(
    exchange: Service, office: Sink, forwarded: tuple[str, bytes]
) -> None:
    sender, recipients, octets = office.wait_for(b"goes on")
    assert path(sender) == "dave@a.test"
    assert recipients == ["RCPT TO:<sales@shop.test>"]
    assert re.fullmatch(r"SRS0=[A-Z2-7]{6}=[A-Z2-7]{2}=a\.test=dave@corp\.test", forwarded[0])
    assert octets.count(b"\nReceived: ") == forwarded[1].count(b"\nReceived: ")


def test_a_forward_is_sealed_for_who_gets_it(
    exchange: Service, workshop: Workshop, forwarded: tuple[str, bytes]
) -> None:
    record = record_text(
        SigningKey.from_pem(workshop.rsa_key.read_bytes(), domain="corp.test", selector="r1").public
    )
    octets = forwarded[1]
    verdict, chain, _ = dkim.arc_verify(
        octets, dnsfunc=lambda name, **_: {b"r1._domainkey.corp.test.": record.encode()}.get(name)
    )
    assert (verdict, len(chain)) == (b"pass", 1)
    results = str(read(octets)["ARC-Authentication-Results"])
    assert "i=1" in results
    assert "spf=pass" in results


def test_a_bounce_finds_its_way_back_to_the_sender_and_nothing_else_does(
    exchange: Service, peer: Sink, forwarded: tuple[str, bytes]
) -> None:
    back = forwarded[0]
    assert send(exchange, "", back, "bounced there")[0] == 250
    sender, recipients, _ = peer.wait_for(b"bounced there")
    assert (path(sender), recipients) == ("", ["RCPT TO:<dave@a.test>"])
    assert send(exchange, "eve@a.test", back, "spam")[0] == 550
    assert send(exchange, "", back.replace("dave", "eve"), "forged") == (
        550,
        "5.1.1 No such mailbox here: not rewritten by us, or too long ago",
    )
    assert send(exchange, "", "carol@peer.test", "relayed")[0] == 550


@pytest.mark.parametrize(
    ("address", "arrives"),
    [
        ("sales+lists@shop.test", "sales+lists@shop.test"),
        ("sales@old.test", "sales@shop.test"),
        ("whoever@shop.test", "sales@shop.test"),
    ],
)
def test_details_other_names_and_the_catch_all_arrive(
    exchange: Service, office: Sink, address: str, arrives: str
) -> None:
    if "+" in address:
        arrives = "sales@shop.test"  # it is an alias, and its target has no detail
    assert send(exchange, "dave@a.test", address, f"to {address}")[0] == 250
    assert office.wait_for(f"to {address}".encode())[1] == [f"RCPT TO:<{arrives}>"]


def test_a_forward_that_fails_is_told_to_a_sender_who_is_known_and_to_no_other(
    exchange: Service, workshop: Workshop, peer: Sink
) -> None:
    assert send(exchange, "dave@a.test", "gone@shop.test", "no way")[0] == 250
    sender, recipients, octets = peer.wait_for(b"no way")
    assert (path(sender), recipients) == ("", ["RCPT TO:<dave@a.test>"])
    assert actions(read(octets)) == [("failed", "5.1.1", "rfc822; gone@peer.test")]
    record = record_text(load_pem_private_key(workshop.rsa_key.read_bytes(), None).public_key())  # type: ignore[arg-type]
    keys = {b"r1._domainkey.corp.test.": record.encode()}
    assert dkim.verify(octets, dnsfunc=lambda name, **_: keys.get(name))  # type: ignore[no-untyped-call]
    assert send(exchange, "victim@forged.test", "gone@shop.test", "forged sender")[0] == 250
    exchange.wait(lambda: bool(exchange.log("nobody is told")))
    (said,) = exchange.log("nobody is told")
    assert said["sender"] == "victim@forged.test"
    assert "may be forged" in said["reason"]
    exchange.wait(lambda: exchange.waiting() == 0)
    assert not any(b"forged sender" in body for _, _, body in peer.messages)


def test_a_report_that_cannot_be_delivered_goes_to_the_postmaster_once(
    exchange: Service, office: Sink
) -> None:
    assert send(exchange, "gone@a.test", "gone@shop.test", "twice lost")[0] == 250
    sender, recipients, octets = office.wait_for(b"gone@a.test")
    assert (path(sender), recipients) == ("", ["RCPT TO:<alice@corp.test>"])
    assert actions(read(octets)) == [("failed", "5.1.1", "rfc822; gone@a.test")]
    exchange.wait(lambda: exchange.waiting() == 0)


def test_success_is_told_where_it_was_asked_for(exchange: Service, office: Sink, peer: Sink) -> None:
    submit(exchange, "sales@shop.test", "both ways", "NOTIFY=SUCCESS", "ORCPT=rfc822;asked@x.test")
    told = [read(m[2]) for m in (office.wait_for(b"Action: delivered"), office.wait_for(b"Action: relayed"))]
    assert actions(told[0]) == [("delivered", "2.0.0", "rfc822; sales@shop.test")]
    assert actions(told[1]) == [("relayed", "2.0.0", "rfc822; carol@peer.test")]
    assert all(b"Original-Recipient: rfc822; asked@x.test" in bytes(one) for one in told)


def test_the_whole_message_comes_back_with_its_envelope_id(exchange: Service, office: Sink) -> None:
    submit(exchange, "gone@peer.test", "whole", mail_options=["RET=FULL", "ENVID=QQ7"])
    report = read(office.wait_for(b"Original-Envelope-Id: QQ7")[2])
    assert report["To"] == "alice@corp.test"
    original = list(report.iter_parts())[2]
    assert original.get_content_type() == "message/rfc822"
    assert b"the body" in bytes(original)


def test_the_settings_are_what_mxd_check_accepts(
    exchange: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(exchange.path)]) == 0
    assert capsys.readouterr().err == ""
