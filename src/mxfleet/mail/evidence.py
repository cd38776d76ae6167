"""All that is known about a message, as one value: what policy decides by and what the header tells."""

import msgspec

from mxfleet.mail.arc import Arc
from mxfleet.mail.dkim.verify import Dkim
from mxfleet.mail.dmarc.check import Dmarc
from mxfleet.mail.dnsbl import Listing
from mxfleet.mail.iprev import Iprev
from mxfleet.mail.questions import Address
from mxfleet.mail.quoting import MAX_WORDS, address_text, quoted
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

    def results(self) -> list[str]:
        """What the Authentication-Results field says of it, method by method (RFC 8601 §2.7, RFC 8617 §10, RFC 9989 §9.1)."""
        results = []
        if self.iprev is not None:
            results.append(f"iprev={self.iprev.result} policy.iprev={quoted(address_text(self.address))}")
        # One result of SPF: a reader who takes any `spf=pass` must not take that of a name that was only said.
        spf = self.helo if self.spf is None else self.spf
        if spf is not None:
            results.append(self._spf(spf))
        if self.dkim is not None:
            results += map(_dkim, self.dkim) if self.dkim else ("dkim=none",)
        if self.arc is not None:
            results.append(f"arc={self.arc.result}{_because(self.arc.reason)}")
        if self.dmarc is not None:
            results.append(_dmarc(self.dmarc))
        return results

    def _spf(self, spf: Spf) -> str:
        because = "" if spf.result == "pass" else _because(spf.reason)
        if spf.identity == "mailfrom" and self.sender:
            return f"spf={spf.result}{because} smtp.mailfrom={quoted(self.sender)}"
        return f"spf={spf.result}{because} smtp.helo={quoted(self.hello)}"


def _dkim(verdict: Dkim) -> str:
    said = f"dkim={verdict.result}"
    if verdict.result != "pass":
        said += _because(verdict.reason + " (testing)" if verdict.testing else verdict.reason)
    if verdict.domain:
        said += f" header.d={quoted(verdict.domain)}"
    if verdict.selector:
        said += f" header.s={quoted(verdict.selector)}"
    if verdict.algorithm:
        said += f" header.a={quoted(verdict.algorithm)}"
    if verdict.head:
        said += f" header.b={quoted(verdict.head)}"
    return said


def _dmarc(verdict: Dmarc) -> str:
    said = f"dmarc={verdict.result}"
    if verdict.result != "pass":
        said += _because(verdict.reason)
    if verdict.domain:
        said += f" header.from={quoted(verdict.domain)}"
    if verdict.record is not None:
        said += f" policy.dmarc={verdict.policy}"
    return said


def _because(reason: str) -> str:
    return f" reason={quoted(reason[:MAX_WORDS])}" if reason else ""
