"""What MAIL and RCPT say beyond addresses goes along: SMTPUTF8 and the wishes of RFC 3461."""

from typing import Any

import msgspec
import pytest

from mxfleet.mail.address import Mailbox, parse_mailbox
from mxfleet.mail.smtp.client import Client, ClientConfig
from mxfleet.mail.smtp.delivery import Transaction
from mxfleet.mxd.dialogue import transaction_of
from mxfleet.mxd.spool.protocol import Envelope, StoredMessage
from tests.unit.mxd.test_mistakes import Lines, answer, bench_with
from tests.unit.mxd.test_mistakes import no_dns as no_dns
from tests.unit.mxd.test_session import SETTINGS, Bench, settle

MESSAGE = "From: дед@peer.test\r\nSubject: привет\r\n\r\nhello\r\n.\r\n".encode()


def envelope_of(bench: Bench) -> Envelope:
    return bench.spool.accepted[-1][0]


def take(bench: Bench, *commands: str) -> str:
    said = [bench.say(f"{command}\r\n".encode()) for command in ("EHLO c", *commands, "DATA")]
    assert said[-1].startswith("354 "), said
    bench.say(MESSAGE)
    return said[0]


async def test_both_extensions_are_offered() -> None:
    said = Bench().say(b"EHLO c\r\n").splitlines()
    assert "250-SMTPUTF8" in said
    assert said[-1] in ("250 DSN", "250-DSN") or "250-DSN" in said


async def test_the_envelope_carries_what_mail_and_rcpt_said() -> None:
    bench = Bench()
    take(
        bench,
        "MAIL FROM:<дед@peer.test> SMTPUTF8 BODY=8BITMIME RET=hdrs ENVID=QQ+2B1",
        "RCPT TO:<alice@corp.test> NOTIFY=success,FAILURE ORCPT=rfc822;Alice+2B@corp.test",
        "RCPT TO:<bob@corp.test> NOTIFY=NEVER",
        "RCPT TO:<bob@corp.test> NOTIFY=DELAY",
    )
    envelope = envelope_of(bench)
    assert (envelope.sender, envelope.utf8, envelope.ret, envelope.envid) == (
        "дед@peer.test", True, "HDRS", "QQ+2B1",
    )  # fmt: skip
    assert envelope.notify == {"alice@corp.test": "SUCCESS,FAILURE", "bob@corp.test": "NEVER"}
    assert envelope.orcpt == {"alice@corp.test": "rfc822;Alice+2B@corp.test"}


async def test_wishes_of_one_transaction_are_not_those_of_the_next() -> None:
    bench = Bench()
    take(bench, "MAIL FROM:<a@peer.test> RET=FULL", "RCPT TO:<alice@corp.test> NOTIFY=NEVER")
    bench.spool.commits[0].set_result(None)
    await settle(lambda: bench.said())
    take(bench, "MAIL FROM:<a@peer.test>", "RCPT TO:<alice@corp.test>")
    envelope = envelope_of(bench)
    assert (envelope.ret, envelope.notify, envelope.orcpt, envelope.utf8) == ("", {}, {}, False)


async def test_an_alias_hands_its_wishes_on() -> None:
    service = msgspec.structs.replace(SETTINGS.service, postmaster="bob@corp.test")
    bench = Bench(msgspec.structs.replace(SETTINGS, service=service))
    take(bench, "MAIL FROM:<>", "RCPT TO:<postmaster@corp.test> NOTIFY=NEVER ORCPT=rfc822;x@y.test")
    assert envelope_of(bench).notify == {"bob@corp.test": "NEVER"}
    assert envelope_of(bench).orcpt == {"bob@corp.test": "rfc822;x@y.test"}


def test_envelopes_of_an_older_release_can_be_read() -> None:
    old = b'{"trace":"t","sender":"a@b.test","received":1.0,"expires":2.0,"size":3}'
    envelope = msgspec.json.decode(old, type=Envelope)
    assert (envelope.ret, envelope.envid, envelope.notify, envelope.orcpt, envelope.passed) == (
        "", "", {}, {}, False,
    )  # fmt: skip


@pytest.mark.parametrize("sender", ["дед@peer.test", '"д е д"@peer.test'])
async def test_an_address_beyond_ascii_is_examined_like_any_other(no_dns: None, sender: str) -> None:
    del no_dns
    lines = Lines()
    bench = bench_with(lines, dmarc="mark", temporary="mark")
    await answer(bench, b"EHLO c\r\n")
    await answer(bench, f"MAIL FROM:<{sender}> SMTPUTF8\r\n".encode())
    await answer(bench, b"RCPT TO:<alice@corp.test>\r\n")
    await answer(bench, b"DATA\r\n")
    bench.say(MESSAGE)
    await settle(lambda: bench.spool.commits or bench.transport.written)
    assert (lines.lines, bench.said()) == ([], "")
    head = bench.spool.accepted[0][2]
    assert b"with UTF8SMTP id" in head


def stored(**said: Any) -> StoredMessage:
    envelope = Envelope(trace="t", sender="a@peer.test", received=0.0, expires=1.0, size=5, **said)
    return StoredMessage(1, envelope, b"Received: x\r\n", b"Subject: x\r\n\r\nh", 1)


def commands(transaction: Transaction, extensions: str) -> list[str]:
    """What a host that offers these is told."""
    client = Client(ClientConfig("mx1.corp.test"))
    offered = "".join(f"250-{word}\r\n" for word in extensions.split())
    client.receive(f"220 x\r\n250-x\r\n{offered}250 PIPELINING\r\n".encode())
    client.output()
    client.send(transaction)
    return client.output().decode().splitlines()


def test_the_next_host_is_told_where_it_offers_it() -> None:
    message = stored(
        ret="HDRS",
        envid="QQ",
        notify={"b@corp.test": "SUCCESS"},
        orcpt={"c@corp.test": "rfc822;c@corp.test"},
    )
    transaction = transaction_of(message, recipients("b@corp.test", "c@corp.test"))
    said = commands(transaction, "DSN")
    assert said[:3] == [
        "MAIL FROM:<a@peer.test> RET=HDRS ENVID=QQ",
        "RCPT TO:<b@corp.test> NOTIFY=SUCCESS",
        "RCPT TO:<c@corp.test> ORCPT=rfc822;c@corp.test",
    ]
    assert commands(transaction, "")[:2] == ["MAIL FROM:<a@peer.test>", "RCPT TO:<b@corp.test>"]


def test_smtputf8_is_said_only_of_what_needs_it() -> None:
    plain = stored(utf8=True)
    assert not transaction_of(plain, recipients("b@corp.test")).utf8
    wide = msgspec.structs.replace(plain, first="Subject: привет\r\n\r\nh".encode())
    transaction = transaction_of(wide, recipients("b@corp.test"))
    assert commands(transaction, "SMTPUTF8")[0] == "MAIL FROM:<a@peer.test> SMTPUTF8"


def recipients(*addresses: str) -> tuple[Mailbox, ...]:
    return tuple(map(parse_mailbox, addresses))
