"""One attempt to deliver: hop after hop, address after address, until somebody has answered for each recipient."""

from collections.abc import AsyncIterator, Sequence
from typing import Final

import msgspec

from mxfleet.errors import AddressError
from mxfleet.mail.address import Mailbox, parse_mailbox
from mxfleet.mail.reply import Reply
from mxfleet.mxd.desk import Desk
from mxfleet.mxd.dialogue import Attempt, Dialogue, same_for_all
from mxfleet.mxd.route import LOOP, NO_HOST, Hop, Place, Router, Unroutable
from mxfleet.mxd.spool.values import Lease, StoredMessage

BAD_ADDRESS: Final = Reply(553, "5.1.3", "Not an address")
HOSTS: Final = 5  # addresses tried in one attempt (RFC 5321 §5.1: at least two)


class Deliverer:
    """Knows how to reach other hosts from this node."""

    def __init__(self, desk: Desk, router: Router) -> None:
        self._desk = desk
        self._router = router
        self._dialogue = Dialogue(desk)

    async def attempt(self, leases: Sequence[Lease], place: Place | None = None) -> Attempt:
        """Try once, one message for the recipients of all leases; the answers are in their order.

        Never raises for what other hosts, the DNS or the network do.
        """
        first = leases[0]
        addresses = [r.address for lease in leases for r in lease.recipients]
        try:
            recipients = tuple(parse_mailbox(address) for address in addresses)
        except AddressError:  # cannot be: the engine has parsed them
            return same_for_all([Mailbox(address, "") for address in addresses], BAD_ADDRESS)
        place = place or await self._router.place(first.domain, first.hop)
        message = first.message if place.ours else _going_on(first.message)
        undecided: list[Attempt] = []
        tried = 0
        async for hop, address in self._places(place, recipients, undecided):
            found = await self._dialogue.hold(hop, address, message, recipients)
            if seconds := self._router.learn(hop, works=found.decided):
                said = str(found.answers[0].reply)
                self._desk.log.warning(
                    "host set aside", host=hop.host, port=hop.port, seconds=seconds, reply=said
                )
            if found.decided:
                return found
            undecided.append(found)
            tried += 1
            if tried == HOSTS:
                break
        return _best(undecided) if undecided else same_for_all(recipients, NO_HOST)

    async def close(self) -> None:
        """Let go of all connections; no attempt is running any more."""
        await self._dialogue.close()

    async def _places(
        self, place: Place, recipients: Sequence[Mailbox], undecided: list[Attempt]
    ) -> AsyncIterator[tuple[Hop, str]]:
        """Each hop with each of its addresses; what the DNS refuses is added to `undecided`."""
        if place.refusal is not None:
            undecided.append(same_for_all(recipients, place.refusal))
            return
        for hop in self._router.in_order(place.hops):
            try:
                found = await self._router.addresses(hop)
                if not found:
                    raise Unroutable(NO_HOST)
                addresses = self._router.foreign(hop, found)
                if not addresses:
                    raise Unroutable(LOOP)
            except Unroutable as error:
                undecided.append(same_for_all(recipients, error.reply, hop.host))
                continue
            for address in addresses:
                yield hop, address


def _going_on(message: StoredMessage) -> StoredMessage:
    """What is forwarded leaves under the reverse-path that brings its bounces back to us (SRS)."""
    envelope = message.envelope
    if not envelope.rewritten:
        return message
    sent = msgspec.structs.replace(envelope, sender=envelope.rewritten)
    return msgspec.structs.replace(message, envelope=sent)


def _best(undecided: Sequence[Attempt]) -> Attempt:
    """The last that leaves hope, else the last: one host that is gone does not condemn what another may take."""
    hopeful = [a for a in undecided if any(answer.status == "deferred" for answer in a.answers)]
    return (hopeful or list(undecided))[-1]
