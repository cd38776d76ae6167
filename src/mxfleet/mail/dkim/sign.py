"""Signing: one body hash for all keys, one DKIM-Signature field a key (RFC 6376 §5, RFC 8463)."""

from base64 import b64encode
from collections.abc import Sequence

from mxfleet.errors import MessageError
from mxfleet.mail.dkim.canonical import RelaxedBody, relaxed_field
from mxfleet.mail.dkim.key import SigningKey
from mxfleet.mail.dkim.selection import names_to_sign, selected
from mxfleet.mail.message import Headers

_LINE = 74  # octets of a folded line of base64 or names


class Signer:
    """Signs one message whose body comes in pieces.

    signer = Signer(keys, timestamp=int(now))
    signer.body(piece)                 # as often as needed; the body only
    fields = signer.sign(headers)      # to be put before the message
    """

    def __init__(self, keys: Sequence[SigningKey], *, timestamp: int) -> None:
        """`timestamp` is the `t=`, in seconds since 1970."""
        self._keys = tuple(keys)
        self._timestamp = timestamp
        self._body = RelaxedBody()

    def body(self, piece: bytes) -> None:
        """Take a piece of the body, cut anywhere."""
        self._body.update(piece)

    def sign(self, headers: Headers) -> bytes:
        """The DKIM-Signature fields, one a key; MessageError for a message without From.

        Takes about 1 ms for an RSA key: a busy service calls it in a thread.
        """
        if not headers.count("From"):
            raise MessageError("message without a From field cannot be signed (RFC 6376 §5.4)")
        names = names_to_sign(headers)
        covered = selected(headers, names)
        body_hash = b64encode(self._body.digest()).decode("ascii")
        return b"".join(self._signature(key, names, covered, body_hash) for key in self._keys)

    def _signature(self, key: SigningKey, names: Sequence[str], covered: bytes, body_hash: str) -> bytes:
        unsigned = (
            f" v=1; a={key.algorithm}; c=relaxed/relaxed; d={key.domain};\r\n"
            f"\ts={key.selector}; t={self._timestamp};\r\n"
            f"\th={fold_names(names)};\r\n"
            f"\tbh={body_hash};\r\n"
            f"\tb="
        ).encode("ascii")
        # RFC 6376 §3.7: the field itself comes last, its b= empty, without the CRLF.
        octets = covered + relaxed_field(b"dkim-signature", unsigned).removesuffix(b"\r\n")
        return b"DKIM-Signature:" + unsigned + fold_base64(b64encode(key.sign(octets))) + b"\r\n"


def fold_base64(text: bytes) -> bytes:
    """In lines, each but the first after CRLF and a tab."""
    pieces = [text[at : at + _LINE] for at in range(0, len(text), _LINE)]
    return b"\r\n\t".join(pieces)


def fold_names(names: Sequence[str]) -> str:
    """With colons between them, in lines."""
    lines = [""]
    for name in names:
        if len(lines[-1]) + len(name) >= _LINE:
            lines.append("")
        lines[-1] += name + ":"
    return "\r\n\t".join(lines).removesuffix(":")
