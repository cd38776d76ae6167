"""The client's BDAT (RFC 3030) with more than one chunk."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxfleet.mail.address import Mailbox
from mxfleet.mail.smtp.client import Client, ClientConfig, Transaction
from mxfleet.mail.smtp.client_events import BodyWanted, ClientEvent, Outcome, Protocol, Ready
from mxfleet.mail.smtp.data import CHUNK, BadLineEnding, ChunkWriter
from mxfleet.mail.smtp.events import Closed, Idle
from mxfleet.mail.smtp.reception import Chunk, ChunkedReception

CAROL, DAVE = Mailbox("carol", "peer.test"), Mailbox("dave", "peer.test")
LINE = b"x" * 998 + b"\r\n"
BIG = LINE * 70


def told(client: Client) -> list[ClientEvent]:
    found = []
    while not isinstance(event := client.next_event(), Idle):
        found.append(event)
    return found


def in_body(protocol: Protocol = "smtp") -> Client:
    client = Client(ClientConfig("mx1.corp.test", protocol))
    client.receive(b"220 hi\r\n250-peer\r\n250-PIPELINING\r\n250 CHUNKING\r\n")
    assert isinstance(told(client)[-1], Ready)
    client.send(Transaction(Mailbox("a", "b.test"), (CAROL, DAVE)))
    client.receive(b"250 ok\r\n250 ok\r\n250 ok\r\n")
    assert told(client) == [BodyWanted()]
    client.output()
    return client


def test_big_pieces_go_at_once_and_their_answers_are_not_waited_for() -> None:
    client = in_body()
    client.body(BIG)
    assert client.output() == b"BDAT 70000\r\n" + BIG
    client.body(b"y\r\n")
    client.body(b"z\r\n")
    assert client.output() == b""
    client.end_body()
    assert client.output() == b"BDAT 6 LAST\r\ny\r\nz\r\n"
    assert client.expects == "body"
    client.receive(b"250 ok\r\n")
    assert client.expects == "message"
    client.receive(b"250 2.0.0 taken\r\n")
    outcome, ready = told(client)
    assert isinstance(outcome, Outcome)
    assert [r.status for r in outcome.results] == ["delivered", "delivered"]
    assert isinstance(ready, Ready)
    assert client.output() == b""


def test_after_a_refused_chunk_nothing_more_is_sent_but_rset() -> None:
    client = in_body()
    client.body(BIG)
    client.output()
    client.receive(b"452 4.3.1 no room\r\n")
    client.body(BIG)
    client.end_body()
    outcome, *_ = told(client)
    assert isinstance(outcome, Outcome)
    assert {(r.status, r.stage, r.doubtful) for r in outcome.results} == {("deferred", "body", False)}
    assert client.output() == b"RSET\r\n"
    client.receive(b"250 ok\r\n")
    assert isinstance(told(client)[-1], Ready)


def test_chunks_that_were_under_way_behind_a_refused_one_get_their_answers_and_rset_comes_then() -> None:
    client = in_body()
    client.body(BIG)
    client.end_body()
    client.output()
    client.receive(b"552 5.3.4 too big\r\n")
    assert told(client) == []
    client.receive(b"503 5.5.1 send MAIL first\r\n")
    outcome, *_ = told(client)
    assert isinstance(outcome, Outcome)
    assert {(r.status, r.stage, r.reply.code) for r in outcome.results} == {("failed", "body", 552)}
    assert client.output() == b"RSET\r\n"


def test_lost_behind_last_is_doubtful_even_while_an_earlier_chunk_has_no_answer() -> None:
    for last in (False, True):
        client = in_body()
        client.body(BIG)
        if last:
            client.end_body()
        in_doubt = client.in_doubt
        client.receive(b"")
        outcome, closed = told(client)
        assert isinstance(outcome, Outcome)
        assert isinstance(closed, Closed)
        assert in_doubt == (len(outcome.results) if last else 0)
        assert {r.doubtful for r in outcome.results} == {last}


def test_a_refused_chunk_ends_an_lmtp_session() -> None:
    client = in_body("lmtp")
    client.body(BIG)
    client.end_body()
    client.receive(b"452 4.3.1 no room\r\n")
    outcome, closed = told(client)
    assert isinstance(outcome, Outcome)
    assert {(r.status, r.stage, r.doubtful) for r in outcome.results} == {("deferred", "body", False)}
    assert isinstance(closed, Closed)


def test_a_354_to_a_chunk_is_not_smtp() -> None:
    client = in_body()
    client.body(BIG)
    client.receive(b"354 go\r\n")
    assert isinstance(told(client)[-1], Closed)


def write(pieces: list[bytes]) -> list[bytes]:
    writer = ChunkWriter()
    return [*(writer.push(piece) for piece in pieces), writer.finish()]


@given(st.lists(st.sampled_from([b"", b"\r", b"\n", b"a", LINE * 40, b"b\r\n", BIG]), max_size=6))
def test_what_is_written_in_chunks_is_read_back(pieces: list[bytes]) -> None:
    whole = b"".join(pieces)
    bare = whole.replace(b"\r\n", b"")
    if b"\r" in bare or b"\n" in bare:
        with pytest.raises(BadLineEnding):
            write(pieces)
        return
    reception, message = ChunkedReception(10**7), b""
    for wire in filter(None, write(pieces)):
        command, _, octets = wire.partition(b"\r\n")
        _, size, *last = command.split(b" ")
        assert last or int(size) >= CHUNK
        message += reception.begin(Chunk(int(size), last=bool(last)))
        while not reception.ended:
            piece, rest = reception.push(octets)
            message += piece
            assert rest == b""
    assert reception.failure is None
    assert message == (whole if whole.endswith(b"\r\n") or not whole else whole + b"\r\n")
