"""mxd with a real unbound behind it: what a message proves, what becomes of it, and what the header tells."""

import asyncio
import smtplib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mxfleet.mail.authentication_results import AuthenticationResults, parse
from mxfleet.mail.dkim.key import SigningKey
from mxfleet.mail.dkim.record import record_text
from mxfleet.mail.dkim.sign import Signer
from mxfleet.mail.message import Headers, parse_headers, split_message
from mxfleet.mail.questions import Answer, NoData, NxDomain, Question, TempError
from mxfleet.mxd.resolver import Resolver
from tests.contract.nameservers import zone_text
from tests.contract.resolving import resolver
from tests.unit.mxd.conftest import Service, Sink, Workshop, make_service
from tests.unit.mxd.conftest import make_sink as make_sink
from tests.unit.mxd.conftest import workshop as workshop

KEY = SigningKey("peer.test", "e1", Ed25519PrivateKey.generate())
BIG = " ".join(f'"{"x" * 250}"' for _ in range(12))
ZONES = {
    "peer.test": zone_text(
        "peer.test",
        '@ TXT "v=spf1 ip4:127.0.0.1 -all"',
        '_dmarc TXT "v=DMARC1; p=reject; adkim=s; aspf=s"',
        f'e1._domainkey TXT "{record_text(KEY.public)}"',
        "mail A 127.0.0.1",
        'mild TXT "v=spf1 -all"',
        '_dmarc.mild TXT "v=DMARC1; p=quarantine"',
        f"big TXT {BIG}",
    ),
    "lists.test": zone_text(
        "lists.test",
        "2.0.0.127.dnsbl A 127.0.0.2",
        "9.0.0.127.dnsbl A 127.0.0.2",
        "2.0.0.127.sick A 127.255.255.254",
        "*.all A 127.0.0.2",
    ),
    "0.0.127.in-addr.arpa": zone_text("0.0.127.in-addr.arpa", "1 PTR mail.peer.test.")
    .replace("ns1 A 127.0.0.1\nns1 AAAA ::1\n", "")
    .replace("NS ns1", "NS ns1.peer.test."),
}
BODY = b"Hello,\r\n\r\nthe  order was shipped. \r\n"


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with resolver(tmp_path_factory.mktemp("names"), ZONES) as address:
        yield address


@pytest.fixture(scope="module")
def sink() -> Iterator[Sink]:
    made = Sink(lmtp=True)
    yield made
    made.shutdown()
    made.server_close()


@pytest.fixture(scope="module")
def exchange(
    tmp_path_factory: pytest.TempPathFactory, workshop: Workshop, names: str, sink: Sink
) -> Iterator[Service]:
    made = make_service(tmp_path_factory.mktemp("exchange"), workshop)
    domain = made.settings["domain"][0]
    domain["route"]["port"] = sink.port
    made.settings["delivery"] = {"resolver": names}
    made.settings["evidence"] = {
        "list": [{"zone": f"{name}.lists.test"} for name in ("dnsbl", "sick", "all", "gone")]
    }
    strict = {**domain, "name": "strict.test", "policy": {"quarantine": "reject"}}
    grey = {**domain, "name": "grey.test", "policy": {"greylist": "on"}}
    made.settings["domain"] += [strict, grey]
    made.settings["greylist"] = {"delay": 1.5, "window": 600.0}
    try:
        made.start()
        made.wait(lambda: len(made.log("DNS list not used")) == 3)
        yield made
    finally:
        code = made.stop()
    assert code == 0, (made.directory / "log").read_text()[-3000:]


def message(author: str = "carol@peer.test", *more: bytes, body: bytes = BODY) -> bytes:
    head = f"From: Carol <{author}>\r\nTo: alice@corp.test\r\nSubject: an order\r\nDate: Tue, 24 Nov 2026 08:00:00 +0000\r\nMessage-ID: <1@peer.test>\r\n"
    return b"".join(more) + head.encode() + b"\r\n" + body


def signed(raw: bytes) -> bytes:
    headers, body = split_message(raw)
    signer = Signer([KEY], timestamp=1_795_000_000)
    signer.body(body)
    return signer.sign(parse_headers(headers.raw)) + raw


def send(
    exchange: Service,
    raw: bytes,
    sender: str = "carol@peer.test",
    client: str = "127.0.0.1",
    recipient: str = "alice@corp.test",
) -> tuple[int, str]:
    """The reply to the message, or to what was refused before it."""
    with smtplib.SMTP(
        "127.0.0.1", exchange.ports["smtp"], local_hostname="mail.peer.test", source_address=(client, 0)
    ) as session:
        session.ehlo()
        for reply in (session.mail(sender), session.rcpt(recipient)):
            if reply[0] >= 400:
                return reply[0], reply[1].decode()
        code, text = session.data(raw)
        return code, text.decode()


def trace_of(text: str) -> str:
    return text.rpartition("accepted as ")[2]


def arrived(sink: Sink, text: str) -> tuple[Headers, bytes]:
    assert "accepted as" in text, text
    return split_message(sink.wait_for(trace_of(text).encode())[2])


def results(headers: Headers) -> AuthenticationResults:
    (field,) = headers.all("Authentication-Results")
    return parse(field.text)


def test_a_signed_message_passes_and_the_header_says_so(exchange: Service, sink: Sink) -> None:
    code, text = send(exchange, signed(message()))
    assert code == 250
    headers, body = arrived(sink, text)
    found = results(headers)
    assert found.authserv_id == "mx.corp.test"
    verdicts = {method: found.verdict(method) for method in ("iprev", "spf", "dkim", "dmarc", "arc")}
    assert verdicts == {"iprev": "pass", "spf": "pass", "dkim": "pass", "dmarc": "pass", "arc": "none"}
    assert headers.first("Received-SPF") is not None
    assert body == BODY
    (line,) = [line for line in exchange.log("accepted") if line["trace"] == trace_of(text)]
    assert (line["spf"], line["dkim"], line["dmarc"]) == ("pass", ["pass peer.test"], "pass peer.test")


def test_one_octet_of_the_body_changed(exchange: Service, sink: Sink) -> None:
    raw = signed(message()).replace(b"order was", b"order Was")
    code, text = send(exchange, raw)
    assert code == 250  # SPF still proves the author's domain
    found = results(arrived(sink, text)[0])
    assert (found.verdict("dkim"), found.verdict("spf"), found.verdict("dmarc")) == ("fail", "pass", "pass")
    code, text = send(exchange, raw, client="127.0.0.6")
    assert code == 550
    assert text.startswith("5.7.26 DMARC: peer.test asks to refuse")
    trace = text.rpartition("(")[2].rstrip(")")
    (line,) = [line for line in exchange.log("refused") if line.get("trace") == trace]
    assert (line["dkim"], line["spf"], line["dmarc"]) == (["fail peer.test"], "fail", "fail peer.test")


def test_a_forged_from_is_refused(exchange: Service) -> None:
    code, text = send(exchange, message(), sender="mallory@other.test", client="127.0.0.6")
    assert (code, text[:13]) == (550, "5.7.26 DMARC:")


def test_a_wrong_address_is_told_in_the_header_where_the_signature_holds(
    exchange: Service, sink: Sink
) -> None:
    code, text = send(exchange, signed(message()), client="127.0.0.6")
    assert code == 250
    headers, _ = arrived(sink, text)
    found = results(headers)
    assert (found.verdict("spf"), found.verdict("dkim"), found.verdict("dmarc")) == ("fail", "pass", "pass")
    assert (headers.first("Received-SPF") or "").startswith("fail")


def test_quarantine_is_a_mark_here_and_a_refusal_there(exchange: Service, sink: Sink) -> None:
    raw = message("carol@mild.peer.test")
    _, text = send(exchange, raw, sender="carol@mild.peer.test")
    assert arrived(sink, text)[0].first("X-Quarantine") == "DMARC fail, as mild.peer.test asks"
    refused = send(exchange, raw, sender="carol@mild.peer.test", recipient="alice@strict.test")
    assert (refused[0], refused[1][:6]) == (550, "5.7.26")


def test_recipients_with_another_policy_come_in_a_transaction_of_their_own(exchange: Service) -> None:
    with smtplib.SMTP("127.0.0.1", exchange.ports["smtp"]) as session:
        session.ehlo("mail.peer.test")
        session.mail("carol@peer.test")
        assert session.rcpt("alice@corp.test")[0] == 250
        assert session.rcpt("bob@strict.test")[0] == 452
        assert session.rcpt("bob@corp.test")[0] == 250


FORGED = (
    b"Authentication-Results: mx.corp.test; dmarc=pass header.from=bank.test\r\n",
    b"Authentication-Results: (no) MX.Corp.Test 1;\r\n\tspf=pass smtp.mailfrom=x@bank.test\r\n",
    b"Authentication-Results: other.test; dkim=pass header.d=kept.test\r\n",
    b"Received-SPF: pass (hm) client-ip=192.0.2.1; envelope-from=x@bank.test; receiver=mx.corp.test;\r\n",
    b"X-Quarantine: no\r\n",
    b"X-Spam: no, really\r\n",
)


@pytest.mark.parametrize("size", [100, 1_000_000])
def test_fields_that_pretend_to_be_ours_do_not_stay(exchange: Service, sink: Sink, size: int) -> None:
    body = b"x" * 70 + b"\r\n"
    raw = message("carol@peer.test", *FORGED, body=body * (size // 72 + 1))
    code, text = send(exchange, signed(raw))
    assert code == 250
    headers, body = arrived(sink, text)
    fields = [field.text for field in headers.all("Authentication-Results")]
    assert len(fields) == 2
    assert "kept.test" in fields[1]
    assert parse(fields[0]).verdict("dkim") == "pass"
    assert len(headers.all("Received-SPF")) == 1
    assert not headers.all("X-Spam")
    assert not headers.all("X-Quarantine")
    assert body == split_message(raw)[1]


def test_lists_that_are_dead_or_list_everybody_are_not_used_and_the_log_says_so_once(
    exchange: Service,
) -> None:
    assert send(exchange, signed(message()))[0] == 250
    said = {line["list"]: line["reason"] for line in exchange.log("DNS list not used")}
    assert len(exchange.log("DNS list not used")) == 3
    assert said == {
        "sick.lists.test": "sick.lists.test does not list 127.0.0.2: sick.lists.test says 127.255.255.254:"
        " asked through a public resolver, which it does not answer",
        "all.lists.test": "all.lists.test lists 127.0.0.1: it lists everything",
        "gone.lists.test": "gone.lists.test does not list 127.0.0.2: it is empty or gone",
    }


def test_mail_that_nobody_answers_for_is_greylisted_where_the_domain_wants_it(
    exchange: Service, sink: Sink
) -> None:
    raw = b"From: x@mild.peer.test\r\nSubject: grey\r\n\r\nhello\r\n"
    code, text = send(exchange, raw, sender="x@mild.peer.test", recipient="alice@grey.test")
    assert (code, text[:26]) == (451, "4.7.1 Greylisted: try agai")
    assert (
        send(exchange, signed(message()), recipient="alice@grey.test")[0] == 250
    )  # its author's domain does
    assert send(exchange, raw, sender="x@mild.peer.test")[0] == 250  # another domain does not want it
    exchange.wait(
        lambda: send(exchange, raw, sender="x@mild.peer.test", recipient="alice@grey.test")[0] == 250
    )
    assert [line["greylisted"] > 0 for line in exchange.log("refused") if "greylisted" in line]


def test_a_listed_client_is_refused_before_the_message(exchange: Service) -> None:
    code, text = send(exchange, message(), client="127.0.0.9")
    assert (code, text) == (550, "5.7.1 127.0.0.9 is listed by dnsbl.lists.test: 127.0.0.2")


@pytest.mark.parametrize(
    ("raw", "reply"),
    [
        (b"no header at all\r\n", "5.6.0"),
        (b"From: a@peer.test\r\nFrom: b@peer.test\r\n\r\nx\r\n", "5.7.1"),
        (b"Subject: nobody\r\n\r\nx\r\n", "5.7.1"),
        (b"X: " + b"x" * 300_000 + b"\r\nFrom: a@peer.test\r\n\r\nx\r\n", "5.6.0"),
    ],
)
def test_a_header_that_says_nothing_clear_is_refused(exchange: Service, raw: bytes, reply: str) -> None:
    code, text = send(exchange, raw)
    assert (code, text.split()[0]) == (550, reply)


def test_without_an_answer_of_the_dns_mail_waits(
    tmp_path: Path, workshop: Workshop, make_sink: Callable[..., Sink]
) -> None:
    made = make_service(tmp_path, workshop)
    made.settings["delivery"] = {"resolver": "127.0.0.1:1"}
    made.settings["evidence"] = {"timeout": 0.3}
    made.start()
    try:
        code, text = send(made, message())
        assert (code, text.split()[0]) == (451, "4.4.3")
    finally:
        assert made.stop() == 0


async def test_the_resolver_reads_what_unbound_says(names: str) -> None:
    asking = Resolver(names)
    questions = {
        "peer.test": b"v=spf1 ip4:127.0.0.1 -all",
        "big.peer.test": b"x" * 3000,  # does not fit into a datagram
    }
    for name, text in questions.items():
        assert await asking.ask(Question(name, "TXT")) == Answer((text,))
    assert await asking.ask(Question("mail.peer.test", "MX")) == NoData()
    assert await asking.ask(Question("gone.peer.test", "A")) == NxDomain()
    refused: Any = await asking.ask(Question("nowhere.invalid", "A"))
    assert isinstance(refused, NxDomain | TempError)
    many = [Question(f"n{number}.peer.test", "A") for number in range(2000)]
    answers = await asyncio.gather(*map(asking.ask, many))
    assert set(answers) == {NxDomain()}
    await asking.close()
