"""Evidence about mail from elsewhere, gathered while the client talks: its name and lists from the first octet on,
SPF from EHLO and MAIL, keys as soon as the header is here, the body's hashes piece by piece.

What is known already costs no task: a check runs through at once as far as the cache goes (`Resolver.begin`).
A check that fails by a mistake of ours counts as one that nobody could answer for now: policy knows what to do then.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from ipaddress import ip_address
from typing import Final, TypeAlias, TypeVar

import msgspec

from mxfleet.mail.arc import Arc, Chain
from mxfleet.mail.dkim.bodies import BodyHashes
from mxfleet.mail.dkim.verify import Dkim, Verifier
from mxfleet.mail.dmarc.check import Dmarc, check_dmarc, questions_ahead
from mxfleet.mail.dnsbl import DnsList, Listing, check_address
from mxfleet.mail.evidence import Evidence
from mxfleet.mail.iprev import Iprev, check_iprev
from mxfleet.mail.message import Headers
from mxfleet.mail.questions import Questions, without_mapping
from mxfleet.mail.spf.check import check_helo, check_mail_from
from mxfleet.mail.spf.result import Identity, Spf
from mxfleet.mxd.list_health import ListHealth
from mxfleet.mxd.observe import Log
from mxfleet.mxd.receiving_settings import EvidenceSettings
from mxfleet.mxd.resolver import Resolver, Verdicts

Verdict = TypeVar("Verdict")
Begun: TypeAlias = Verdict | asyncio.Future[Verdict]
"""A verdict, or the future that will have it."""

_Proved: TypeAlias = tuple[tuple[Dkim, ...], Arc]
MISTAKE: Final = "this host could not find out"  # what others are told; the log knows more


class ClientFacts(msgspec.Struct, frozen=True):
    """What was found out about a client: its name, SPF on its HELO identity, what the DNS lists say."""

    iprev: Iprev
    helo: Spf | None
    listings: tuple[Listing, ...]


class Gatherer:
    """What all sessions of one process gather evidence with."""

    def __init__(
        self,
        settings: EvidenceSettings,
        resolver: Resolver,
        receiver: str,
        clock: Callable[[], float],
        log: Log,
        *,
        tells: bool = True,
    ) -> None:
        """`receiver` is our name in SPF's explanations, `clock` seconds since 1970.

        `tells`: this process says in the log what becomes of DNS lists.
        """
        self.resolver = resolver
        lists = [DnsList(each.zone, each.meanings) for each in settings.list]
        self.health = ListHealth(lists, log if tells else None)
        self.receiver = receiver
        self.now = clock
        self.verdicts = Verdicts(resolver.clock)
        self._patience = settings.timeout
        self._log = log

    @property
    def lists(self) -> tuple[DnsList, ...]:
        """The DNS lists that may be used now."""
        return self.health.usable

    async def watch_lists(self) -> None:
        """Look at the DNS lists now and then, for ever."""
        await self.health.watch(self.resolver.run)

    def begin(
        self,
        check: Questions[Verdict],
        mistaken: Callable[[Exception], Verdict],
        keep: Callable[[Verdict, float], None] | None = None,
    ) -> Begun[Verdict]:
        """Begin a check that ends, with its own kind of temporary error, when patience does; it never raises.

        See Resolver.begin; whoever makes a verdict of a mistake says so in the log (`mistaken`).
        """
        until = asyncio.get_running_loop().time() + self._patience
        return self.resolver.begin(check, until, mistaken=mistaken, keep=keep)

    def mistaken(self, error: Exception, **about: object) -> None:
        """A check has failed by a mistake of ours."""
        self._log.error("mistake in a check", exception=error, **about)


class ClientEvidence:
    """What is known about the client of one session."""

    __slots__ = ("_client", "_facts", "_helo", "_iprev", "_lists", "address", "gatherer", "hello")

    def __init__(self, gatherer: Gatherer, address: str) -> None:
        """Begins at once: a name and lists take a while, and nobody waits for them yet."""
        self.gatherer = gatherer
        self.address = without_mapping(ip_address(address))
        self.hello = ""
        self._client = address
        self._iprev: Begun[Iprev] = gatherer.begin(check_iprev(self.address), self._no_iprev)
        self._lists = [self._ask(each) for each in gatherer.lists]
        self._helo: Begun[Spf] | None = None
        self._facts: ClientFacts | None = None

    def greeted(self, hello: str) -> None:
        """The client said EHLO; SPF may have an opinion of that (RFC 7208 §2.3)."""
        if hello != self.hello:
            self.hello, self._facts = hello, None
            self._helo = self.gatherer.begin(
                check_helo(self.address, hello, receiver=self.gatherer.receiver, timestamp=self._timestamp()),
                partial(self._no_spf, "helo", hello),
            )

    def sent(self, sender: str) -> "Begun[Spf]":
        """The client said MAIL; SPF's opinion of it."""
        domain = sender.rpartition("@")[2] or self.hello
        kept: Spf | None = self.gatherer.verdicts.get(key := (self._client, domain))
        if kept is not None:
            return kept
        return self.gatherer.begin(
            check_mail_from(
                self.address,
                self.hello,
                sender,
                receiver=self.gatherer.receiver,
                timestamp=self._timestamp(),
            ),
            partial(self._no_spf, "mailfrom", domain),
            partial(self._keep, key),
        )

    def _keep(self, key: tuple[str, str], verdict: Spf, until: float) -> None:
        """A verdict that no macro had a part in is that on every sender of the domain."""
        if not verdict.personal and verdict.result != "temperror":
            self.gatherer.verdicts.put(key, verdict, until)

    def _ask(self, dns_list: DnsList) -> Begun[Listing]:
        return self.gatherer.begin(check_address(self.address, dns_list), partial(self._no_listing, dns_list))

    def _no_iprev(self, error: Exception) -> Iprev:
        self.gatherer.mistaken(error, client=self._client)
        return Iprev("temperror", reason=MISTAKE)

    def _no_spf(self, identity: Identity, domain: str, error: Exception) -> Spf:
        self.gatherer.mistaken(error, client=self._client)
        return Spf("temperror", identity, domain, reason=MISTAKE)

    def _no_listing(self, dns_list: DnsList, error: Exception) -> Listing:
        self.gatherer.mistaken(error, client=self._client, list=dns_list.zone)
        return Listing(dns_list.zone, "temperror", reason=MISTAKE)

    @property
    def waiting(self) -> list["asyncio.Future[object]"]:
        """What is not known yet of the client."""
        return unsettled(self._iprev, self._helo, *self._lists) if self._facts is None else []

    @property
    def facts(self) -> ClientFacts:
        """All of it, once nothing is waited for."""
        if self._facts is None:
            helo = None if self._helo is None else settled(self._helo)
            self._facts = ClientFacts(settled(self._iprev), helo, tuple(map(settled, self._lists)))
        return self._facts

    def _timestamp(self) -> int:
        return int(self.gatherer.now())


class MessageEvidence:
    """What becomes known of one message while it arrives."""

    __slots__ = (
        "_bodies",
        "_chain",
        "_client",
        "_headers",
        "_mistake",
        "_sealed",
        "_sender",
        "_spf",
        "_verifier",
        "body",
    )

    def __init__(
        self, client: ClientEvidence, sender: str, spf: Begun[Spf], headers: Headers, *, sealed: bool = False
    ) -> None:
        """The header is here: the keys and policies that it names are asked for while the body comes.

        `sealed` says that the body's hash will be needed, whatever signatures there are.
        """
        self._client = client
        self._sealed = sealed
        self._sender = sender
        self._spf = spf
        self._headers = headers
        self._mistake: Exception | None = None
        self.body: Callable[[bytes], object] = _ignore
        try:
            self._read(headers)
        except Exception as error:  # the message is complete only later, and answered then
            self._mistake = error

    def _read(self, headers: Headers) -> None:
        client = self._client
        now = int(client.gatherer.now())
        self._verifier = Verifier(headers, now=now)
        self._chain = Chain(headers, now=now)
        forms = self._verifier.canonicalizations | self._chain.canonicalizations
        self._bodies = BodyHashes(forms | {"relaxed"} if self._sealed else forms)
        self.body = self._bodies.update
        ahead = (*self._verifier.questions, *self._chain.questions, *questions_ahead(headers))
        client.gatherer.resolver.ask_ahead(ahead)

    @property
    def body_hash(self) -> bytes:
        """SHA-256 of the body in relaxed form; b"" where nobody wanted it."""
        return b"" if self._mistake is not None else self._bodies.digest("relaxed")

    def judge(self, trace: str) -> Begun[Evidence]:
        """The evidence, once the whole body was taken: at once if all is known, when patience ends at the latest."""
        if waiting := self._client.waiting + unsettled(self._spf):
            return asyncio.get_running_loop().create_task(self._judge_after(waiting, trace))
        return self._begin(trace)

    async def _judge_after(self, waiting: list["asyncio.Future[object]"], trace: str) -> Evidence:
        await asyncio.wait(waiting)
        judged = self._begin(trace)
        return await judged if isinstance(judged, asyncio.Future) else judged

    def _begin(self, trace: str) -> Begun[Evidence]:
        """What is proved, then DMARC with a patience of its own: what takes long before it is not its domain's fault."""
        proved = self._client.gatherer.begin(self._proved(), partial(self._no_proof, trace))
        if isinstance(proved, asyncio.Future):
            return asyncio.get_running_loop().create_task(self._weigh_after(proved, trace))
        return self._weigh(proved, trace)

    async def _weigh_after(self, proved: asyncio.Future[_Proved | None], trace: str) -> Evidence:
        judged = self._weigh(await proved, trace)
        return await judged if isinstance(judged, asyncio.Future) else judged

    def _weigh(self, proved: _Proved | None, trace: str) -> Begun[Evidence]:
        if proved is None:
            return self._evidence(None, None, Dmarc("temperror", reason=MISTAKE))
        return self._client.gatherer.begin(self._judged(*proved), partial(self._no_verdict, trace))

    def _no_proof(self, trace: str, error: Exception) -> None:
        self._client.gatherer.mistaken(error, trace=trace)

    def _no_verdict(self, trace: str, error: Exception) -> Evidence:
        self._client.gatherer.mistaken(error, trace=trace)
        return self._evidence(None, None, Dmarc("temperror", reason=MISTAKE))

    def _proved(self) -> Questions[_Proved | None]:
        if self._mistake is not None:
            raise self._mistake
        signatures = yield from self._verifier.verify(self._bodies)
        return signatures, (yield from self._chain.verify(self._bodies))

    def _judged(self, signatures: tuple[Dkim, ...], chain: Arc) -> Questions[Evidence]:
        dmarc = yield from check_dmarc(self._headers, settled(self._spf), signatures)
        return self._evidence(signatures, chain, dmarc)

    def _evidence(self, dkim: tuple[Dkim, ...] | None, arc: Arc | None, dmarc: Dmarc) -> Evidence:
        client, facts, spf = self._client, self._client.facts, settled(self._spf)
        return Evidence(
            client.address,
            client.hello,
            self._sender,
            facts.iprev,
            facts.helo,
            spf,
            dkim,
            arc,
            dmarc,
            facts.listings,
        )


def _ignore(_piece: bytes) -> None:
    return None


def settled(begun: Begun[Verdict]) -> Verdict:
    """The verdict of a check that has ended."""
    return begun.result() if isinstance(begun, asyncio.Future) else begun


def unsettled(*begun: object) -> list["asyncio.Future[object]"]:
    """The futures among these that have not ended."""
    return [task for task in begun if isinstance(task, asyncio.Future) and not task.done()]
