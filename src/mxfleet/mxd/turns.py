"""Who is next at one destination: senders take turns, and copies of one message go together."""

from collections import OrderedDict, deque
from collections.abc import Iterator

import msgspec

from mxfleet.mxd.route import Place
from mxfleet.mxd.spool.values import Lease


class Waiting(msgspec.Struct, frozen=True):
    """A leased delivery whose way is known."""

    lease: Lease
    place: Place


class Turns:
    """A queue a sender; `pop` gives one of whoever has waited longest, with all that can share its DATA."""

    def __init__(self) -> None:
        self._queues: OrderedDict[str, deque[Waiting]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Waiting]:
        return (waiting for queue in self._queues.values() for waiting in queue)

    def push(self, waiting: Waiting) -> None:
        """Last of its sender."""
        self._queues.setdefault(waiting.lease.sender, deque()).append(waiting)
        self._count += 1

    def pop(self, most: int) -> list[Waiting]:
        """The next, and other deliveries of the same message by the same way, up to `most` recipients."""
        sender, queue = self._queues.popitem(last=False)
        first = queue.popleft()
        batch, recipients = [first], len(first.lease.recipients)
        number, rest = first.lease.message.number, deque[Waiting]()
        while queue:
            other = queue.popleft()
            more = len(other.lease.recipients)
            same = other.lease.message.number == number and _same_way(first.place, other.place)
            if same and recipients + more <= most:
                batch.append(other)
                recipients += more
            else:
                rest.append(other)
        if rest:
            self._queues[sender] = rest
        self._count -= len(batch)
        return batch

    def remove(self, delivery: int) -> Waiting | None:
        """Take one out, wherever it stands."""
        for queue in self._queues.values():
            for waiting in queue:
                if waiting.lease.delivery == delivery:
                    queue.remove(waiting)
                    self._count -= 1
                    if not queue:
                        del self._queues[waiting.lease.sender]
                    return waiting
        return None


def _same_way(one: Place, other: Place) -> bool:
    """What is ours and what goes on to others has different reverse-paths where it is forwarded.

    A host that was given and one that an MX record names may be the same, under another TLS rule.
    """
    return (one.ours, one.given) == (other.ours, other.given) and set(one.hops) == set(other.hops)
