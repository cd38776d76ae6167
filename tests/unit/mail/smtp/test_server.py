"""The rules between the server engine and its driver."""

import pytest

from mxfleet.errors import SmtpError
from mxfleet.mail.address import Mailbox
from mxfleet.mail.reply import Reply
from mxfleet.mail.smtp import events
from mxfleet.mail.smtp.events import Idle, TlsInfo
from mxfleet.mail.smtp.limits import ServerConfig
from mxfleet.mail.smtp.server import Server

GROUP = b"MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n"


def greeted() -> Server:
    server = Server(ServerConfig("mx.corp.test"))
    server.greeting()
    server.receive(b"EHLO a.test\r\n")
    assert server.next_event() == events.Hello("a.test", extended=True)
    server.accept()
    server.output()
    return server


def in_data() -> Server:
    server = greeted()
    server.receive(GROUP)
    for _ in range(3):
        server.next_event()
        server.accept()
    server.output()
    return server


def test_a_question_pauses_the_engine_until_it_is_answered() -> None:
    server = greeted()
    server.receive(b"MAIL FROM:<a@b.test>\r\nNOOP\r\n")
    assert isinstance(server.next_event(), events.MailFrom)
    server.receive(b"RCPT TO:<c@d.test>\r\n")
    assert server.next_event() is Idle.PAUSED
    assert server.next_event() is Idle.PAUSED
    assert (server.output(), server.expects, server.buffered) == (b"", "answer", 26)
    server.answer(Reply(250, "2.1.0", "Later is fine"))
    assert server.next_event() == events.RcptTo(Mailbox("c", "d.test"))
    assert server.output() == b"250 2.1.0 Later is fine\r\n250 2.0.0 OK\r\n"


def test_output_is_given_once() -> None:
    server = Server(ServerConfig("mx.corp.test"))
    server.greeting()
    assert server.output() == b"220 mx.corp.test ESMTP mxfleet\r\n"
    assert server.output() == b""


def test_an_answer_needs_a_question() -> None:
    server = greeted()
    with pytest.raises(SmtpError, match="had asked nothing"):
        server.accept()
    with pytest.raises(SmtpError, match="had asked nothing"):
        server.answer(Reply(550, "5.0.0", "no"))


def test_what_the_protocol_says_is_not_said_in_other_words() -> None:
    server = greeted()
    server.receive(GROUP)
    for _ in range(2):
        server.next_event()
        server.accept()
    assert isinstance(server.next_event(), events.DataStart)
    with pytest.raises(SmtpError, match=r"DataStart is answered positively with accept\(\)"):
        server.answer(Reply(250, "2.0.0", "go"))
    server.accept()
    assert server.output().endswith(b"354 End data with <CR><LF>.<CR><LF>\r\n")


def test_data_start_names_those_who_were_accepted() -> None:
    server = greeted()
    server.receive(b"MAIL FROM:<>\r\nRCPT TO:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<e@f>\r\nDATA\r\n")
    server.next_event()
    server.accept()
    for refused in (False, True, False):
        server.next_event()
        server.answer(Reply(550, "5.1.1", "no")) if refused else server.accept()
    start = server.next_event()
    assert start == events.DataStart(
        events.MailFrom(None), (events.RcptTo(Mailbox("a", "b")), events.RcptTo(Mailbox("e", "f")))
    )


def test_pieces_are_handed_on_as_they_come() -> None:
    assert in_data().expects == "data"
    server = in_data()
    server.receive(b"one\r\n..two")
    assert server.next_event() == events.DataChunk(b"one\r\n.two")
    assert server.next_event() is Idle.NEED_INPUT
    server.receive(b"\r\n.\r\n")
    assert server.next_event() == events.DataChunk(b"\r\n")
    assert server.next_event() == events.MessageComplete(11)
    assert server.expects == "answer"


def test_a_message_can_fail_even_when_its_end_was_seen() -> None:
    server = in_data()
    server.receive(b"x\r\n.\r\n")
    assert isinstance(server.next_event(), events.DataChunk)
    server.fail_message(Reply(452, "4.3.1", "No space"))
    server.fail_message(Reply(451, "4.3.0", "a second reason changes nothing"))
    assert server.next_event() == events.Reset()
    assert server.output() == b"452 4.3.1 No space\r\n"
    assert server.expects == "command"


def test_a_message_fails_negatively_and_only_while_it_comes() -> None:
    with pytest.raises(SmtpError, match="no message in progress"):
        greeted().fail_message(Reply(452, "4.3.1", "No space"))
    with pytest.raises(SmtpError, match="cannot fail with 250"):
        in_data().fail_message(Reply(250, "2.0.0", "fine"))


def test_a_client_that_goes_takes_its_question_with_it() -> None:
    server = in_data()
    server.receive(b"x\r\n.\r\n")
    server.next_event()
    assert server.next_event() == events.MessageComplete(3)
    server.receive(b"")
    assert server.next_event() == events.Closed("disconnected")
    assert server.closed
    assert server.next_event() is Idle.NEED_INPUT
    with pytest.raises(SmtpError, match="had asked nothing"):
        server.accept()


def test_after_the_end_nothing_is_taken_and_nothing_kept() -> None:
    server = greeted()
    server.receive(b"QUIT\r\nMAIL FROM:<a@b.test>\r\n")
    assert server.next_event() == events.Closed("quit", "221 2.0.0 Bye")
    server.receive(b"MAIL FROM:<a@b.test>\r\n")
    assert server.next_event() is Idle.NEED_INPUT
    assert (server.buffered, server.expects) == (0, "nothing")
    server.timeout()
    server.shutdown()
    server.tls_established(TlsInfo("TLSv1.3", "x"))
    assert server.output() == b"221 2.0.0 Bye\r\n"
    assert server.closed


def test_a_greeting_can_turn_the_client_away() -> None:
    server = Server(ServerConfig("mx.corp.test"))
    server.greeting(Reply(421, "4.7.0", "Too many connections"))
    assert server.output() == b"421 4.7.0 Too many connections\r\n"
    assert server.next_event() == events.Closed("refused", "421 4.7.0 Too many connections")


def test_no_plain_text_goes_into_a_handshake() -> None:
    server = greeted()
    server.receive(b"STARTTLS\r\n")
    assert server.next_event() == events.StartTls()
    server.accept()
    server.output()
    assert (server.next_event(), server.expects) == (Idle.PAUSED, "handshake")
    server.timeout()
    assert server.output() == b""
    assert server.closed


def test_the_protocol_word_says_what_was_used() -> None:
    server = Server(ServerConfig("mx.corp.test", service="submissions"))
    assert server.session.protocol == "SMTP"
    server.tls_established(TlsInfo("TLSv1.3", "x"))
    server.greeting()
    server.receive(b"EHLO a.test\r\n")
    server.next_event()
    server.accept()
    assert server.session.protocol == "ESMTPS"
    server.receive(b"AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n")
    auth = server.next_event()
    assert auth == events.Auth("PLAIN", "alice", "secret")
    assert "secret" not in repr(auth)
    server.accept()
    assert (server.session.protocol, server.session.username) == ("ESMTPSA", "alice")
