"""One record, one value: the grain of everything in `dns`.

Names are absolute, lower-case and without the final dot; values are presentation text (RFC 1035 §5.1) with it.
TXT is one string of octets whatever its chunks: it is built from octets, cut at 255, and always quoted, because
`;` in unquoted text begins a comment.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
from dns.rdtypes.ANY.TXT import TXT

from mxfleet.fleet.model import Address

CHUNK = 255  # RFC 1035 §3.3.14: a character-string has a length octet
TARGETS = frozenset({"MX", "PTR", "CNAME", "NS", "SRV"})
"""Types whose value is a name, in which case does not matter (RFC 4343)."""

Identity = tuple[str, str, str]
"""Owner name, type, value: what makes two records the same one; the TTL does not."""


@dataclass(frozen=True, slots=True, order=True)
class Record:
    """A record; `raw` is the value exactly as a server holds it, where that differs (other TXT chunks)."""

    name: str
    type: str
    value: str
    ttl: int
    raw: str = field(default="", compare=False)

    @property
    def identity(self) -> Identity:
        """Name, type and value."""
        return self.name, self.type, self.value

    @property
    def rrset(self) -> tuple[str, str]:
        """Name and type."""
        return self.name, self.type

    @property
    def octets(self) -> bytes:
        """The content of a TXT record, its chunks joined (RFC 7208 §3.3, RFC 6376 §3.6.2.2)."""
        rdata = self.rdata()
        return b"".join(rdata.strings) if isinstance(rdata, TXT) else b""

    def rdata(self) -> dns.rdata.Rdata:
        """The value for dnspython, as the server holds it."""
        return dns.rdata.from_text(dns.rdataclass.IN, self.type, self.raw or self.value, relativize=False)

    def __str__(self) -> str:
        """The record as a line of a zone file."""
        return f"{self.name}. {self.ttl} {self.type} {self.value}"


def txt(name: str, ttl: int, content: bytes) -> Record:
    """A TXT record of any content, in as few chunks as can be."""
    return Record(name, "TXT", quoted(content), ttl)


def address(name: str, ttl: int, value: Address) -> Record:
    """An A or AAAA record."""
    return Record(name, "A" if value.version == 4 else "AAAA", str(value), ttl)


def mx(name: str, ttl: int, preference: int, target: str) -> Record:
    """An MX record; an empty target is the null MX `0 .` of RFC 7505."""
    return Record(name, "MX", f"{preference} {target}.", ttl)


def tlsa(host: str, port: int, ttl: int, spki: str) -> Record:
    """A TLSA record `3 1 1` (RFC 7671 §5.1): the SHA-256 (hex) of the server's own public key."""
    return Record(f"_{port}._tcp.{host}", "TLSA", f"3 1 1 {spki}", ttl)


def caa(name: str, ttl: int, tag: str, value: str) -> Record:
    """A CAA record (RFC 8659 §4), not critical."""
    return Record(name, "CAA", f'0 {tag} "{value}"', ttl)


def pointer(value: Address, ttl: int, target: str) -> Record:
    """The PTR record of an address."""
    return Record(value.reverse_pointer, "PTR", f"{target}.", ttl)


def from_rdata(name: dns.name.Name, ttl: int, rdata: dns.rdata.Rdata) -> Record:
    """A record as a server gave it: its value made comparable, the original kept."""
    kind = dns.rdatatype.to_text(rdata.rdtype)
    raw = rdata.to_text(relativize=False)
    value = quoted(b"".join(rdata.strings)) if isinstance(rdata, TXT) else raw
    if kind in TARGETS:
        value = value.lower()
    owner = name.to_text(omit_final_dot=True).lower()
    return Record(owner, kind, value, ttl, raw="" if raw == value else raw)


def quoted(content: bytes) -> str:
    """Octets as quoted character-strings: printable ASCII as it is, the rest as three digits (RFC 1035 §5.1)."""
    chunks = [content[place : place + CHUNK] for place in range(0, len(content), CHUNK)] or [b""]
    return " ".join(f'"{_escaped(chunk)}"' for chunk in chunks)


def by_name(records: Iterable[Record]) -> list[Record]:
    """Records in the order in which a zone is read: by labels from the right, then type and value."""
    return sorted(records, key=lambda r: (r.name.split(".")[::-1], r.type, r.value, r.ttl))


def _escaped(chunk: bytes) -> str:
    return "".join(
        f"\\{chr(octet)}" if octet in b'"\\' else chr(octet) if 0x20 <= octet < 0x7F else f"\\{octet:03d}"
        for octet in chunk
    )
