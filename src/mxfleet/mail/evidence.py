"""All that is known about a message, as one value: what policy decides by and what the header tells."""

from collections.abc import Iterator

import msgspec

from mxfleet.mail.arc import Arc
from mxfleet.mail.authentication_results import AuthenticationResults, MethodResult
from mxfleet.mail.dkim.verify import Dkim
from mxfleet.mail.dmarc.check import Dmarc
from mxfleet.mail.dnsbl import Listing
from mxfleet.mail.iprev import Iprev
from mxfleet.mail.questions import Address
from mxfleet.mail.quoting import MAX_WORDS
from mxfleet.mail.spf.result import Spf


class Evidence(msgspec.Struct, frozen=True):
    """Who delivered what in whose name; a check that was not made is None, or empty.

    `sender` is the reverse-path without brackets, "" for the null one.
    """

    address: Address
    hello: str
    sender: str
    iprev: Iprev | None = None
    helo: Spf | None = None
    spf: Spf | None = None
    dkim: tuple[Dkim, ...] | None = None
    arc: Arc | None = None
    dmarc: Dmarc | None = None
    listings: tuple[Listing, ...] = ()

    def results(self, authserv_id: str) -> AuthenticationResults:
        """What the Authentication-Results field says of it (RFC 8601 §2.7, RFC 8617 §10, RFC 9989 §9.1)."""
        return AuthenticationResults(authserv_id, tuple(self._methods()))

    def _methods(self) -> Iterator[MethodResult]:
        if self.iprev is not None:
            yield MethodResult("iprev", self.iprev.result, "", {"policy.iprev": str(self.address)})
        # One result of SPF: a reader who takes any `spf=pass` must not take that of a name that was only said.
        spf = self.helo if self.spf is None else self.spf
        if spf is not None:
            yield self._spf(spf)
        if self.dkim is not None:
            yield from map(_dkim, self.dkim)
            if not self.dkim:
                yield MethodResult("dkim", "none")
        if self.arc is not None:
            yield MethodResult("arc", self.arc.result, self.arc.reason[:MAX_WORDS])
        if self.dmarc is not None:
            yield _dmarc(self.dmarc)

    def _spf(self, spf: Spf) -> MethodResult:
        by_sender = spf.identity == "mailfrom" and self.sender
        properties = {"smtp.mailfrom": self.sender} if by_sender else {"smtp.helo": self.hello}
        reason = "" if spf.result == "pass" else spf.reason[:MAX_WORDS]
        return MethodResult("spf", spf.result, reason, properties)


def _dkim(verdict: Dkim) -> MethodResult:
    named = (
        ("header.d", verdict.domain),
        ("header.s", verdict.selector),
        ("header.a", verdict.algorithm),
        ("header.b", verdict.head),
    )
    reason = verdict.reason + (" (testing)" if verdict.testing and verdict.result != "pass" else "")
    return MethodResult(
        "dkim", verdict.result, reason[:MAX_WORDS], {name: value for name, value in named if value}
    )


def _dmarc(verdict: Dmarc) -> MethodResult:
    properties = {"header.from": verdict.domain} if verdict.domain else {}
    if verdict.record is not None:
        properties["policy.dmarc"] = verdict.policy
    return MethodResult(
        "dmarc", verdict.result, "" if verdict.result == "pass" else verdict.reason, properties
    )
