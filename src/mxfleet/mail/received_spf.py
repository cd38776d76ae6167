"""The Received-SPF field (RFC 7208 §9.1): a verdict of SPF as the next reader finds it."""

import re
from typing import Final, get_args

import msgspec

from mxfleet.errors import MessageError
from mxfleet.mail.questions import Address
from mxfleet.mail.quoting import MAX_WORDS, address_text, fold, quoted, unquoted
from mxfleet.mail.spf.result import Spf, SpfResult

RESULTS: Final[tuple[str, ...]] = get_args(SpfResult)
_FIELD = re.compile(r"[ \t]*([A-Za-z]+)(?:[ \t]+\((?:[^()\\]|\\.)*\))?[ \t]*(.*)", re.DOTALL)
_PAIR = re.compile(r'[ \t]*([a-z0-9_-]+)[ \t]*=[ \t]*("(?:[^"\\]|\\.)*+"|[^\s;()"]+)[ \t]*(?:;|\Z)')


class ReceivedSpf(msgspec.Struct, frozen=True):
    """What a Received-SPF field says; names of pairs as in RFC 7208 §9.1."""

    result: str
    client_ip: str
    envelope_from: str
    helo: str
    receiver: str
    identity: str
    mechanism: str = ""
    problem: str = ""

    @classmethod
    def of(cls, verdict: Spf, *, address: Address, sender: str, hello: str, receiver: str) -> "ReceivedSpf":
        """The field for a verdict; `sender` is the reverse-path without brackets."""
        problem = verdict.reason if verdict.result in ("temperror", "permerror") else ""
        return cls(
            verdict.result,
            address_text(address),
            sender,
            hello,
            receiver,
            verdict.identity,
            verdict.mechanism[:MAX_WORDS],
            problem[:MAX_WORDS],
        )

    def render(self) -> bytes:
        """The field, folded, CRLF at its end."""
        text = (
            f"{self.result} client-ip={quoted(self.client_ip)}; envelope-from={quoted(self.envelope_from)};"
            f" helo={quoted(self.helo)}; receiver={quoted(self.receiver)}; identity={quoted(self.identity)};"
        )
        if self.mechanism:
            text += f" mechanism={quoted(self.mechanism)};"
        if self.problem:
            text += f" problem={quoted(self.problem)};"
        return fold("Received-SPF", text)


def parse_received_spf(text: str) -> ReceivedSpf:
    """Read a field's unfolded body; MessageError where it is none."""
    match = _FIELD.fullmatch(text)
    if match is None or match[1].lower() not in RESULTS:
        raise MessageError(f"Received-SPF: {text[:40]!r} does not begin with a result")
    pairs: dict[str, str] = {}
    rest = match[2]
    while rest.strip():
        pair = _PAIR.match(rest)
        if pair is None:
            raise MessageError(f"Received-SPF: {rest[:40]!r} is not name=value")
        pairs.setdefault(pair[1], unquoted(pair[2]))
        rest = rest[pair.end() :]
    return ReceivedSpf(
        match[1].lower(),
        client_ip=pairs.get("client-ip", ""),
        envelope_from=pairs.get("envelope-from", ""),
        helo=pairs.get("helo", ""),
        receiver=pairs.get("receiver", ""),
        identity=pairs.get("identity", ""),
        mechanism=pairs.get("mechanism", ""),
        problem=pairs.get("problem", ""),
    )
