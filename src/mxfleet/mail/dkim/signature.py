"""DKIM-Signature fields (RFC 6376 §3.5): octets in, a value out, or the sentence that says why it is none."""

import binascii
import re
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Final, Literal, TypeAlias, cast

import msgspec

from mxfleet.errors import MailError
from mxfleet.mail.dkim.bodies import Canonicalization
from mxfleet.mail.dkim.canonical import relaxed_field, relaxed_fields
from mxfleet.mail.dkim.tags import parse_tags, without_folds
from mxfleet.mail.message import Field
from mxfleet.mail.names import canonical_name, is_within

SignatureAlgorithm: TypeAlias = Literal["rsa-sha256", "ed25519-sha256", "rsa-sha1"]

ALGORITHMS: Final = ("rsa-sha256", "ed25519-sha256", "rsa-sha1")
KEPT: Final = 512  # characters of an h=
# How covered fields, each with its lower-case name, are written in each form (RFC 6376 §3.4.1, §3.4.2).
FORMS: Final[Mapping[Canonicalization, Callable[[Sequence[tuple[bytes, Field]]], bytes]]] = {
    "simple": lambda chosen: b"".join(field.raw for _name, field in chosen),
    "relaxed": relaxed_fields,
}
_FOLDS: Final = b" \t\r\n"
_FORM_NAMES = re.compile(r"(simple|relaxed)(?:/(simple|relaxed))?")
_NAMES = re.compile(r"[!-9;-~]+(?:[ \t\r\n]*:[ \t\r\n]*[!-9;-~]+)*")
_TIME = re.compile(r"[0-9]{1,12}")
_VALUE = re.compile(rb";[ \t\r\n]*b[ \t\r\n]*=([^;]*)")
_FIRST_VALUE = re.compile(rb"[ \t\r\n]*b[ \t\r\n]*=([^;]*)")


class Signature(msgspec.Struct, frozen=True):
    """One signature: where its key is, what it covers, and in which forms.

    `names` are the covered fields in lower case; `identity` is the `i=` as written, `identity_domain` its
    domain; `length` tells that there is an `l=`; times are seconds since 1970.
    """

    field: Field
    algorithm: SignatureAlgorithm
    signature: bytes
    body_hash: bytes
    header_form: Canonicalization
    body_form: Canonicalization
    domain: str
    selector: str
    identity: str
    identity_domain: str
    names: tuple[bytes, ...]
    length: bool
    timestamp: int | None
    expiration: int | None

    @property
    def key_name(self) -> str:
        """Where its key record is (RFC 6376 §3.6.2.1)."""
        return f"{self.selector}._domainkey.{self.domain}"


def parse_signature(field: Field) -> Signature:
    """The DKIM-Signature that a field is; MailError for any breach of RFC 6376 §3.5 or §6.1.1."""
    tags = parse_tags(field.text)
    if tags.get("v") != "1":
        raise MailError("signature: v= is not 1")
    if "q" in tags and "dns/txt" not in map(str.strip, tags["q"].split(":")):
        raise MailError(f"signature: no key retrieval method of q={tags['q'][:20]!r} is known")
    return read_signature(field, tags, tags.get("i"))


def read_signature(field: Field, tags: Mapping[str, str], identity: str | None) -> Signature:
    """What a DKIM-Signature and an ARC-Message-Signature have in common; `identity` is the `i=` of the former."""
    for name in ("a", "b", "bh", "d", "h", "s"):
        if not tags.get(name):
            raise MailError(f"signature: {name}= is missing")
    header_form, body_form = _forms(tags.get("c", "simple/simple"))
    domain, selector = signing_domain(tags["d"]), signing_selector(tags["s"])
    timestamp, expiration = read_time(tags, "t"), read_time(tags, "x")
    if timestamp is not None and expiration is not None and expiration < timestamp:
        raise MailError("signature: x= is before t=")  # RFC 6376 §3.5
    if "l" in tags and not re.fullmatch(r"[0-9]{1,76}", tags["l"]):
        raise MailError("signature: l= is not a number")
    return Signature(
        field=field,
        algorithm=read_algorithm(tags),
        signature=read_base64(tags, "b"),
        body_hash=read_base64(tags, "bh"),
        header_form=header_form,
        body_form=body_form,
        domain=domain,
        selector=selector,
        identity=identity or f"@{domain}",
        identity_domain=_identity_domain(identity, domain),
        names=_names(tags["h"]),
        length="l" in tags,
        timestamp=timestamp,
        expiration=expiration,
    )


def signing_domain(text: str) -> str:
    """The canonical form of a `d=`, A-labels for U-labels (RFC 8616 §5)."""
    domain = canonical_name(without_folds(text))
    if "." not in domain:
        raise MailError(f"signature: d={text[:40]!r} is not a domain of two labels or more")
    return domain


def signing_selector(text: str) -> str:
    """The canonical form of an `s=`."""
    selector = canonical_name(without_folds(text))
    if not selector:
        raise MailError(f"signature: s={text[:40]!r} is not a selector")
    return selector


def read_algorithm(tags: Mapping[str, str]) -> SignatureAlgorithm:
    """The `a=`; the historic rsa-sha1 is known, so that it can be refused by name (RFC 8301 §3.1)."""
    algorithm = tags["a"].lower()
    if algorithm not in ALGORITHMS:
        raise MailError(f"signature: algorithm {tags['a'][:20]!r} is not known")
    return cast("SignatureAlgorithm", algorithm)


def read_base64(tags: Mapping[str, str], name: str) -> bytes:
    """The octets of a base64 tag; MailError where it is none."""
    try:
        return b64decode(tags[name].encode("ascii").translate(None, _FOLDS), validate=True)
    except (binascii.Error, ValueError) as error:
        raise MailError(f"signature: {name}= is not base64") from error


def read_time(tags: Mapping[str, str], name: str) -> int | None:
    """A `t=` or `x=` in seconds since 1970, None where it is absent."""
    if name not in tags:
        return None
    if not _TIME.fullmatch(tags[name]):
        raise MailError(f"signature: {name}= is not a time")
    return int(tags[name])


def without_value(field: Field, form: Canonicalization) -> bytes:
    """The signature field itself as it is signed: its `b=` empty, without its last CRLF (RFC 6376 §3.7)."""
    body = field.body
    if match := _FIRST_VALUE.match(body) or _VALUE.search(body):
        body = body[: match.start(1)] + body[match.end(1) :]
    if form == "simple":
        return field.label + body
    return relaxed_field(field.name, body).removesuffix(b"\r\n")


@lru_cache(maxsize=16)
def _forms(text: str) -> tuple[Canonicalization, Canonicalization]:
    match = _FORM_NAMES.fullmatch(without_folds(text).lower())
    if match is None:
        raise MailError(f"signature: canonicalization {text[:20]!r} is not known")
    return cast("Canonicalization", match[1]), cast("Canonicalization", match[2] or "simple")


def _names(text: str) -> tuple[bytes, ...]:
    """A signer names the same fields in each of its messages: a list of usual length is kept."""
    return _kept_names(text) if len(text) <= KEPT else _read_names(text)


def _read_names(text: str) -> tuple[bytes, ...]:
    if not _NAMES.fullmatch(text):
        raise MailError("signature: h= is not a list of field names")
    names = tuple(without_folds(text).lower().encode("ascii").split(b":"))
    if b"from" not in names:
        raise MailError("signature: h= does not cover From (RFC 6376 §5.4)")
    return names


_kept_names = lru_cache(maxsize=512)(_read_names)


def _identity_domain(identity: str | None, domain: str) -> str:
    if identity is None:
        return domain
    _local, at, text = without_folds(identity).rpartition("@")
    name = canonical_name(text)
    if not at or not is_within(name, domain):
        raise MailError(f"signature: i={identity[:40]!r} is not within d={domain} (RFC 6376 §3.5)")
    return name
