"""The rules between the client engine and its driver."""

import pytest

from mxfleet.errors import SmtpError
from mxfleet.mail.address import Mailbox
from mxfleet.mail.smtp.client import Client, ClientConfig, Ready, Transaction
from mxfleet.mail.smtp.events import Idle, TlsInfo
from mxfleet.mail.smtp.opening import Step

TRANSACTION = Transaction(None, (Mailbox("a", "b.test"),))


def ready() -> Client:
    client = Client(ClientConfig("mx1.corp.test"))
    client.receive(b"220 x\r\n250 x\r\n")
    assert client.next_event() == Ready({})
    client.output()
    return client


def test_a_transaction_begins_only_when_the_session_is_ready() -> None:
    with pytest.raises(SmtpError, match="the session expects greeting"):
        Client(ClientConfig("mx1.corp.test")).send(TRANSACTION)
    client = ready()
    client.send(TRANSACTION)
    with pytest.raises(SmtpError, match="the session expects mail"):
        client.send(TRANSACTION)
    with pytest.raises(SmtpError, match="a transaction is in progress"):
        client.quit()


def test_a_transaction_has_recipients() -> None:
    with pytest.raises(SmtpError, match="without recipients"):
        Transaction(None, ())


def test_an_address_that_is_no_line_is_never_sent() -> None:
    client = ready()
    with pytest.raises(SmtpError, match="printable ASCII on one line"):
        client.send(Transaction(Mailbox("a\r\nRCPT TO:<x@y.test>\r\n", "b.test"), TRANSACTION.recipients))
    assert client.output() == b""
    client.send(TRANSACTION)
    assert client.output() == b"MAIL FROM:<>\r\n"


def test_pieces_of_a_message_that_nobody_waits_for_are_ignored() -> None:
    client = ready()
    client.body(b"x\r\n")
    client.end_body()
    assert client.output() == b""
    assert client.next_event() is Idle.NEED_INPUT


def test_tls_from_the_first_octet_is_not_begun_again() -> None:
    client = Client(ClientConfig("mx1.corp.test", tls="required"))
    client.tls_established(TlsInfo("TLSv1.3", "x"))
    client.receive(b"220 x\r\n")
    client.receive(b"250-x\r\n250 STARTTLS\r\n")
    assert client.next_event() == Ready({"STARTTLS": ""})
    assert client.output() == b"EHLO mx1.corp.test\r\n"


def test_the_end_is_told_once() -> None:
    client = ready()
    client.timeout()
    client.abort()
    client.receive(b"")
    client.receive(b"250 x\r\n")
    client.quit()
    events = []
    while not isinstance(event := client.next_event(), Idle):
        events.append(event)
    assert len(events) == 1
    assert (client.closed, client.expects, client.output()) == (True, "nothing", b"")


def test_passwords_stay_out_of_representations() -> None:
    assert "secret" not in repr(ClientConfig("a.test", username="u", password="secret"))
    assert "AHUAc2VjcmV0" not in repr(Step("auth", "AUTH PLAIN AHUAc2VjcmV0"))
