"""The questions of routing (`route.Dns`), answered by the resolver; no answer is never "there is none"."""

import asyncio
from collections.abc import Sequence

from mxfleet.mail.names import canonical_name
from mxfleet.mail.questions import Answer, Exchange, NxDomain, Question, Record, RecordType, TempError
from mxfleet.mxd.resolver.client import Resolver
from mxfleet.mxd.route import DNS_TROUBLE, NO_DOMAIN, Unroutable


class RoutingResolver:
    """Implements `route.Dns`."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    async def mx(self, domain: str) -> Sequence[tuple[int, str]]:
        """See route.Dns."""
        records = await self._ask(domain, "MX")
        return [(record.preference, record.host) for record in records if isinstance(record, Exchange)]

    async def addresses(self, host: str) -> Sequence[str]:
        """See route.Dns; one family that fails does not hide the other."""
        families = await asyncio.gather(self._ask(host, "AAAA"), self._ask(host, "A"), return_exceptions=True)
        found: list[str] = []
        trouble: BaseException | None = None
        for family in families:
            if isinstance(family, BaseException):
                trouble = family
            else:
                found += map(str, family)
        if trouble is not None and not found:
            raise trouble
        return found

    async def _ask(self, name: str, kind: RecordType) -> tuple[Record, ...]:
        canonical = canonical_name(name)
        if not canonical:
            raise Unroutable(NO_DOMAIN)
        response = await self._resolver.ask(Question(canonical, kind))
        if isinstance(response, NxDomain):
            raise Unroutable(NO_DOMAIN)
        if isinstance(response, TempError):
            raise Unroutable(DNS_TROUBLE)
        return response.records if isinstance(response, Answer) else ()
