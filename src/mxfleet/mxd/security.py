"""Which TLS a host gets: the operator's word, else what DNSSEC and MTA-STS say, asked for and put together.

`mail/sending_tls.py` decides; this asks. AD counts only from the resolver on this host (RFC 7672 §2.1.1), which
`Resolver` sees to.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from mxfleet.mail import dane
from mxfleet.mail.mta_sts import Fetched, FetchFailed
from mxfleet.mail.mta_sts_policy import Policy
from mxfleet.mail.names import canonical_name
from mxfleet.mail.questions import Answer, NoData, Question, RecordType, Response
from mxfleet.mail.sending_tls import OPPORTUNISTIC, Level, Rule, Wish, decide, wished
from mxfleet.mxd import https, tls
from mxfleet.mxd.resolver import Resolver
from mxfleet.mxd.route import Hop
from mxfleet.mxd.sending_settings import DestinationSettings, SendingSettings
from mxfleet.mxd.wildcards import Wildcards

PATIENCE: Final = 30.0  # seconds for all questions about one host
_STRICTEST: Final[tuple[Level, ...]] = ("none", "opportunistic", "encrypt", "verify", "dane", "refuse")


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a recipient domain: the operator's wish, whether its MX answer is signed, its policy."""

    wish: Wish = ""
    trust: str = ""
    signed: bool = False
    policy: Policy | None = None

    @property
    def special(self) -> bool:
        """Whether its mail must not share a connection with that of other domains."""
        return bool(self.wish) or (self.policy is not None and self.policy.mode != "none")


class Security:
    """Of one process that sends."""

    def __init__(
        self,
        sending: SendingSettings,
        destinations: Sequence[DestinationSettings],
        resolver: Resolver | None,
        policy: Callable[[str], Awaitable[Policy | None]] | None = None,
    ) -> None:
        """Without a `resolver` nothing is asked, without `policy` (see Policies) no policy is."""
        self._sending = sending
        # One that only limits rates or connections says nothing of TLS, and hides no other that does.
        self._wishes = Wildcards(
            {destination.name: destination for destination in destinations if destination.tls}
        )
        self._resolver = resolver
        self._policy = policy
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._plain = tls.client_context()

    async def mark(self, domain: str) -> str:
        """What tells this domain's destination from another with the same hosts: their mail goes apart."""
        facts = await self._facts(domain)
        if facts.special:
            return f" for {domain}"
        return " (signed)" if facts.signed else ""

    async def rule(self, domains: Iterable[str], hop: Hop, *, configured: bool) -> Rule:
        """What a connection to a host must have for mail to these domains; `configured`: no MX record named it."""
        if configured:
            return await self._configured(hop)
        known = list(dict.fromkeys(domains))
        facts = await asyncio.gather(*map(self._facts, known))
        alone = known[0] if len(known) == 1 else ""  # RFC 7672 §3.2.3: a name that counts for one domain only
        rules = [await self._by_dns(alone, one, hop) for one in dict.fromkeys(facts)]
        return max(rules, key=lambda rule: _STRICTEST.index(rule.level))

    def context(self, rule: Rule) -> ssl.SSLContext:
        """How to shake hands under a rule; a certificate that DANE judges is not OpenSSL's business."""
        if rule.level != "verify":
            return self._plain
        path = rule.trust or self._sending.trust
        if path not in self._contexts:
            self._contexts[path] = tls.verifying_context(path)
        return self._contexts[path]

    async def fetch(self, host: str, path: str) -> Fetched | FetchFailed:
        """A policy from its web server (`Policies`)."""
        if self._resolver is None:
            return FetchFailed("there is no resolver")
        addresses = await _addresses(self._resolver, host)
        return await https.get(host, path, addresses, self.context(Rule("verify")))

    async def _configured(self, hop: Hop) -> Rule:
        found = self._wishes.get(canonical_name(hop.host))
        if found is not None:
            rule = wished(found.tls, hop.host, found.trust)
            return rule or decide(hop.host, await self._dane(hop, "", signed=True), None, found.tls)
        if hop.tls == "required":
            return Rule("encrypt", "the route's setting", "TLS is required", hop.host)
        return Rule("none") if hop.tls == "none" else OPPORTUNISTIC

    async def _by_dns(self, domain: str, facts: Facts, hop: Hop) -> Rule:
        rule = wished(facts.wish, hop.host, facts.trust)
        if rule is not None:
            return rule
        requirement = await self._dane(hop, domain, signed=facts.signed)
        return decide(hop.host, requirement, facts.policy, facts.wish)

    async def _dane(self, hop: Hop, domain: str, *, signed: bool) -> dane.Requirement:
        if self._resolver is None:
            return dane.Requirement("none", "there is no resolver")
        until = asyncio.get_running_loop().time() + PATIENCE
        check = dane.require(hop.host, domain=domain, secure=signed, port=hop.port)
        return await self._resolver.run(check, until)

    async def _facts(self, domain: str) -> Facts:
        name = canonical_name(domain)
        found = self._wishes.get(name)
        if found is not None and found.tls != "dane":
            return Facts(found.tls, found.trust)
        wish: Wish = "dane" if found is not None else ""
        if self._resolver is None or not name or domain.startswith("["):
            return Facts(wish)
        signed, policy = await asyncio.gather(self._signed(name), self._found_policy(name))
        return Facts(wish, "", signed, policy)

    async def _signed(self, name: str) -> bool:
        """RFC 7672 §2.2.1: whether the MX records, or that there is none, are vouched for."""
        if self._resolver is None or not self._sending.dane:
            return False
        response = await self._resolver.ask(Question(name, "MX"))
        return isinstance(response, Answer | NoData) and response.authenticated

    async def _found_policy(self, name: str) -> Policy | None:
        if self._policy is None or not self._sending.mta_sts:
            return None
        return await self._policy(name)


async def _addresses(resolver: Resolver, host: str) -> list[str]:
    kinds: tuple[RecordType, ...] = ("AAAA", "A")
    responses: list[Response] = await asyncio.gather(*(resolver.ask(Question(host, k)) for k in kinds))
    return [str(record) for r in responses if isinstance(r, Answer) for record in r.records]
