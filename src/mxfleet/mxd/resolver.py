"""The local validating resolver, asked asynchronously; no answer is an answer of its own, never "there is none"."""

from collections.abc import Sequence
from typing import Final

import dns.asyncresolver
import dns.exception
import dns.name
import dns.rdatatype
import dns.resolver

from mxfleet.mxd.route import DNS_TROUBLE, NO_DOMAIN, Unroutable

PATIENCE: Final = 15.0  # seconds for one question, all retries included


class Resolver:
    """Implements `route.Dns` with dnspython."""

    def __init__(self, server: str = "") -> None:
        """`server` is an address or `address:port`; empty for what resolv.conf says."""
        if server:
            host, colon, port = server.rpartition(":")
            plain = not colon or (":" in host and not host.startswith("["))
            self._resolver = dns.asyncresolver.Resolver(configure=False)
            self._resolver.nameservers = [server if plain else host.strip("[]")]
            self._resolver.port = 53 if plain else int(port)
        else:
            self._resolver = dns.asyncresolver.Resolver()
        self._resolver.cache = dns.resolver.LRUCache(4096)
        self._resolver.lifetime = PATIENCE

    async def mx(self, domain: str) -> Sequence[tuple[int, str]]:
        """See route.Dns."""
        answer = await self._ask(domain, "MX")
        return [(record.preference, record.exchange.to_text()) for record in answer or ()]

    async def addresses(self, host: str) -> Sequence[str]:
        """See route.Dns; one family that fails does not hide the other."""
        found: list[str] = []
        trouble: Unroutable | None = None
        for kind in ("AAAA", "A"):
            try:
                found += [record.address for record in await self._ask(host, kind) or ()]
            except Unroutable as error:
                trouble = error
        if trouble is not None and not found:
            raise trouble
        return found

    async def _ask(self, name: str, kind: str) -> dns.resolver.Answer | None:
        try:
            return await self._resolver.resolve(
                dns.name.from_text(name), kind, search=False, raise_on_no_answer=True
            )
        except dns.resolver.NXDOMAIN as error:
            raise Unroutable(NO_DOMAIN) from error
        except dns.resolver.NoAnswer:
            return None
        except (dns.exception.DNSException, OSError) as error:  # SERVFAIL, time-out, nonsense
            raise Unroutable(DNS_TROUBLE) from error
