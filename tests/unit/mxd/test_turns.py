"""Senders take turns at a destination, and copies of one message go together."""

from mxfleet.mxd.route import Hop, Place
from mxfleet.mxd.spool.values import Envelope, Lease, Recipient, StoredMessage
from mxfleet.mxd.turns import Turns, Waiting

HERE = Place("mx.test", (Hop("mx.test", 25), Hop("b.test", 25)))
SAME = Place("mx.test", (Hop("b.test", 25), Hop("mx.test", 25)))
OTHER = Place("mx.test", (Hop("mx.test", 25),))


def waiting(
    delivery: int, sender: str, message: int = 0, place: Place = HERE, recipients: int = 1
) -> Waiting:
    envelope = Envelope(trace=f"t{delivery}", sender=sender, received=0.0, expires=9e9)
    stored = StoredMessage(message or delivery, envelope, b"", b"", 0)
    members = tuple(Recipient(n, f"u{n}@{delivery}.test") for n in range(recipients))
    return Waiting(Lease(delivery, 1, 9e9, "x.test", 0, stored, members, sender=sender), place)


def popped(turns: Turns, most: int = 100) -> list[int]:
    return [each.lease.delivery for each in turns.pop(most)]


def test_the_sender_of_many_waits_his_turn() -> None:
    turns = Turns()
    for number in range(1, 6):
        turns.push(waiting(number, "giant"))
    turns.push(waiting(6, "small"))
    assert [popped(turns) for _ in range(3)] == [[1], [6], [2]]
    assert len(turns) == 3


def test_one_data_serves_all_recipients_that_go_the_same_way() -> None:
    turns = Turns()
    turns.push(waiting(1, "a", message=7))
    turns.push(waiting(2, "a", message=8))
    turns.push(waiting(3, "a", message=7, place=SAME))
    turns.push(waiting(4, "a", message=7, place=OTHER))
    turns.push(waiting(5, "a", message=7, recipients=99))
    assert [popped(turns) for _ in range(4)] == [[1, 3], [2], [4], [5]]
    assert len(turns) == 0


def test_what_is_lost_is_taken_out() -> None:
    turns = Turns()
    turns.push(waiting(1, "a"))
    turns.push(waiting(2, "b"))
    assert turns.remove(1) is not None
    assert turns.remove(1) is None
    assert popped(turns) == [2]
    assert not turns
