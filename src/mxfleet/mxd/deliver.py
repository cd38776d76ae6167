"""One attempt to deliver: hop after hop, address after address, until somebody has answered for each recipient."""

import random
from collections.abc import Sequence
from typing import Final

import msgspec

from mxfleet.errors import AddressError
from mxfleet.mail.address import Mailbox, parse_mailbox
from mxfleet.mail.reply import Reply
from mxfleet.mail.sending_tls import Rule
from mxfleet.mail.smtp.delivery import RecipientResult
from mxfleet.mxd.desk import Desk
from mxfleet.mxd.dialogue import Attempt, Dialogue, Letter, same_for_all
from mxfleet.mxd.reaching import in_turn
from mxfleet.mxd.route import LOOP, NO_HOST, Hop, Place, Router, Unroutable
from mxfleet.mxd.security import Security
from mxfleet.mxd.spool.values import Envelope, Lease, StoredMessage

BAD_ADDRESS: Final = Reply(553, "5.1.3", "Not an address")
NOTHING: Final = StoredMessage(
    0, Envelope(trace="call-ahead", sender="", received=0.0, expires=0.0), b"", b"", 0
)
HOSTS: Final = 5  # addresses tried in one attempt (RFC 5321 §5.1: at least two)


class Deliverer:
    """Knows how to reach other hosts from this node."""

    def __init__(self, desk: Desk, router: Router, security: Security) -> None:
        self._desk = desk
        self._router = router
        self._security = security
        self._chance = random.Random()  # noqa: S311 - only spreads load
        self._dialogue = Dialogue(desk, security)

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
        letter = Letter(message, recipients, tuple(lease.delivery for lease in leases))
        return await self._try(place, letter, [lease.domain for lease in leases])

    async def probe(self, mailbox: Mailbox) -> RecipientResult:
        """Ask the next hop of a domain of ours whether it takes mail for a mailbox; nothing is sent. As `attempt`."""
        place = await self._router.place(mailbox.domain)
        found = await self._try(place, Letter(NOTHING, (mailbox,), probe=True), [mailbox.domain])
        return found.answers[0]

    async def _try(self, place: Place, letter: Letter, domains: Sequence[str]) -> Attempt:
        if place.refusal is not None:
            return same_for_all(letter.recipients, place.refusal)
        undecided: list[Attempt] = []
        tried = 0
        for hop in self._router.in_order(place.hops):
            way = await self._way(hop, letter, domains, given=place.given)
            if isinstance(way, Attempt):
                undecided.append(way)
                continue
            left, rule = way
            while left and tried < HOSTS:
                found, done = await self._dialogue.hold(hop, left[: HOSTS - tried], rule, letter)
                if found.decided:
                    self._learn(hop, found)
                    return found
                undecided.append(found)
                tried += len(done)
                left = [address for address in left if address not in done]
            self._learn(hop, undecided[-1])
            if tried >= HOSTS:
                break
        return _best(undecided) if undecided else same_for_all(letter.recipients, NO_HOST)

    async def close(self) -> None:
        """Let go of all connections; no attempt is running any more."""
        await self._dialogue.close()

    def _learn(self, hop: Hop, found: Attempt) -> None:
        """A host that answers nobody is set aside for a while where there is another."""
        if seconds := self._router.learn(hop, works=found.decided):
            said = str(found.answers[0].reply)
            self._desk.log.warning(
                "host set aside", host=hop.host, port=hop.port, seconds=seconds, reply=said
            )

    async def _way(
        self, hop: Hop, letter: Letter, domains: Sequence[str], *, given: bool
    ) -> tuple[list[str], Rule] | Attempt:
        """A hop's addresses and its rule, or what the DNS or a policy refuses."""
        try:
            addresses = await self._addresses(hop, given=given)
        except Unroutable as error:
            return same_for_all(letter.recipients, error.reply, hop.host)
        rule = await self._security.rule(domains, hop, configured=given)
        if rule.refusal is None:
            return addresses, rule
        refused = same_for_all(letter.recipients, rule.refusal, hop.host)
        return msgspec.structs.replace(refused, policy=rule.policy)

    async def _addresses(self, hop: Hop, *, given: bool) -> list[str]:
        """Those of a hop that are not our own, in the order to try them; raises Unroutable where there is none.

        A hop that was given may be ourselves.
        """
        found = await self._router.addresses(hop)
        if not found:
            raise Unroutable(NO_HOST)
        addresses = found if given else self._router.foreign(found)
        if not addresses:
            raise Unroutable(LOOP)
        return in_turn(addresses, self._chance)


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
