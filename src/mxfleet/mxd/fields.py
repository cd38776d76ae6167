"""The header fields in which we tell what we found, and the removal of those that only pretend to be ours."""

from typing import Final

from mxfleet.errors import MessageError
from mxfleet.mail import authentication_fields
from mxfleet.mail.evidence import Evidence
from mxfleet.mail.message import Field, Headers
from mxfleet.mail.quoting import fold
from mxfleet.mail.received_spf import ReceivedSpf, parse_received_spf
from mxfleet.mail.reply import printable
from mxfleet.mail.spf.result import Spf
from mxfleet.mxd.settings import ServiceSettings

_MARKS: Final = (b"x-spam", b"x-quarantine")  # written by us alone: whoever sends them forges
_SPF: Final = b"received-spf"
_OURS: Final = frozenset((*_MARKS, _SPF))


class Author:
    """Who we are in these fields: one name for the whole fleet, which readers trust (RFC 8601 §2.5)."""

    def __init__(self, service: ServiceSettings, hostname: str) -> None:
        """`hostname` is the node's."""
        self.name = service.hostname
        own = {service.hostname, service.submission_hostname, hostname}
        self._names = frozenset(name.lower() for name in own if name)

    def clean(self, headers: Headers) -> Headers:
        """The header section without fields in our name (RFC 8601 §5); itself where there are none."""
        kept = authentication_fields.without_forged(headers, self._names)
        if kept.by_name.keys().isdisjoint(_OURS):
            return kept
        fields = tuple(field for field in kept.fields if not self._is_forged(field))
        return Headers(b"".join(field.raw for field in fields), fields)

    def fields(self, evidence: Evidence) -> bytes:
        """Authentication-Results and Received-SPF, to be put above our Received field (RFC 7208 §9.1)."""
        written = authentication_fields.render(self.name, evidence.results())
        if evidence.spf is not None:
            written += self._received_spf(evidence, evidence.spf)
        if evidence.helo is not None and evidence.helo.result not in ("none", "pass"):
            written += self._received_spf(evidence, evidence.helo)
        return written

    def _received_spf(self, evidence: Evidence, spf: Spf) -> bytes:
        return ReceivedSpf.of(
            spf, address=evidence.address, sender=evidence.sender, hello=evidence.hello, receiver=self.name
        ).render()

    def _is_forged(self, field: Field) -> bool:
        if field.name in _MARKS:
            return True
        if field.name != _SPF:
            return False
        try:
            return parse_received_spf(field.text).receiver.lower() in ("", *self._names)
        except MessageError:
            return True  # another reader might read it


def marks(found: tuple[tuple[str, str], ...]) -> bytes:
    """Fields that tell the reader's programs what was found."""
    return b"".join(fold(name, printable(" ".join(text.split()))) for name, text in found)
