"""Validating an Authenticated Received Chain (RFC 8617 §5.2): who vouched for the message on its way, and unbroken.

A pass says that the seals are genuine, not that the sealers are honest: it weighs only what their names weigh.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import msgspec

from mxfleet.errors import MailError
from mxfleet.mail.dkim.bodies import BodyHashes, Canonicalization
from mxfleet.mail.dkim.canonical import relaxed_header
from mxfleet.mail.dkim.lookup import VerifyingKey, fetch_key, misfit
from mxfleet.mail.dkim.signature import (
    Signature,
    SignatureAlgorithm,
    read_algorithm,
    read_base64,
    read_signature,
    signing_domain,
    signing_selector,
    without_value,
)
from mxfleet.mail.dkim.tags import parse_tags
from mxfleet.mail.dkim.verify import covers, refusal
from mxfleet.mail.message import Field, Headers
from mxfleet.mail.questions import Question, Questions, Unanswered

ArcResult: TypeAlias = Literal["none", "pass", "fail"]

MAX_SETS: Final = 50  # RFC 8617 §4.2.1
_RESULTS_FIELD, _MESSAGE_FIELD, _SEAL_FIELD = FIELDS = (
    "ARC-Authentication-Results",
    "ARC-Message-Signature",
    "ARC-Seal",
)
_KEYS: Final = frozenset(kind.lower().encode("ascii") for kind in FIELDS)
_INSTANCE = re.compile(r"[ \t]*i[ \t]*=[ \t]*([1-9][0-9]?)[ \t]*(?:;|\Z)")


class Arc(msgspec.Struct, frozen=True):
    """The verdict on the chain; `sealers` are the domains that sealed, the first one first.

    `temporary` says that a key got no answer: a later attempt may end otherwise.
    """

    result: ArcResult
    reason: str = ""
    sealers: tuple[str, ...] = ()
    temporary: bool = False


@dataclass(frozen=True, slots=True)
class ArcSet:
    """What one handler added (RFC 8617 §4.2); `state` is the `cv=` of its seal."""

    results: Field
    message_field: Field
    seal_field: Field
    state: str
    algorithm: SignatureAlgorithm
    signature: bytes
    domain: str
    selector: str

    @property
    def key_name(self) -> str:
        """Where the key of its seal is."""
        return f"{self.selector}._domainkey.{self.domain}"


class Chain:
    """Validates the chain of one message, whose body may still be on its way; used as dkim.verify.Verifier is."""

    __slots__ = ("_failure", "_headers", "_sets", "_signature")

    def __init__(self, headers: Headers, *, now: int) -> None:
        """`now` in seconds since 1970, for the newest message signature's `t=` and `x=`."""
        self._headers = headers
        self._sets: tuple[ArcSet, ...] = ()
        self._signature: Signature | None = None
        self._failure = ""
        try:
            self._sets = sets_of(headers)
            if self._sets:
                self._signature = _message_signature(self._sets[-1].message_field, now)
        except MailError as error:
            self._failure = str(error)

    @property
    def canonicalizations(self) -> frozenset[Canonicalization]:
        """The forms in which the body must be hashed."""
        return frozenset([self._signature.body_form] if self._signature is not None else [])

    @property
    def questions(self) -> tuple[Question, ...]:
        """What `verify` will ask where nothing fails."""
        if self._signature is None:
            return ()
        names = [self._signature.key_name, *(found.key_name for found in reversed(self._sets))]
        return tuple(Question(name, "TXT") for name in dict.fromkeys(names))

    def verify(self, bodies: BodyHashes) -> Questions[Arc]:
        """The verdict, once the whole body was taken (RFC 8617 §5.2, steps 4 to 7)."""
        if self._signature is None:
            return Arc("fail" if self._failure else "none", self._failure)
        sealers = tuple(found.domain for found in self._sets)
        try:
            yield from self._check_message(self._signature, bodies)
            for number in range(len(self._sets), 0, -1):
                yield from self._check_seal(number)
        except Unanswered as error:
            return Arc("fail", str(error), sealers, temporary=True)
        except MailError as error:
            return Arc("fail", str(error), sealers)
        return Arc("pass", "", sealers)

    def _check_message(self, signature: Signature, bodies: BodyHashes) -> Questions[None]:
        if bodies.digest(signature.body_form) != signature.body_hash:
            raise MailError("the body is not the one that the newest message signature covers")
        key = yield from _usable_key(signature.key_name, signature.algorithm, signature.domain)
        if not covers(signature, self._headers, key):
            raise MailError("the header is not the one that the newest message signature covers")

    def _check_seal(self, number: int) -> Questions[None]:
        """RFC 8617 §5.1.1: a seal covers all sets up to its own, in relaxed form."""
        newest = self._sets[number - 1]
        octets = b"".join(
            relaxed_header(field)
            for found in self._sets[:number]
            for field in (found.results, found.message_field, found.seal_field)
            if field is not newest.seal_field
        ) + without_value(newest.seal_field, "relaxed")
        key = yield from _usable_key(newest.key_name, newest.algorithm, newest.domain)
        if not key.verifies(newest.signature, octets):
            raise MailError(f"seal {number} does not verify")


def _usable_key(name: str, algorithm: str, domain: str) -> Questions[VerifyingKey]:
    key = yield from fetch_key(name)
    if trouble := misfit(key.record, algorithm, domain, domain) or key.weakness:
        raise MailError(f"{name}: {trouble}")
    return key


def sets_of(headers: Headers) -> tuple[ArcSet, ...]:
    """The sets, the first one first (RFC 8617 §5.2, steps 1 to 3); () without a chain, MailError for a broken one."""
    if headers.by_name.keys().isdisjoint(_KEYS):
        return ()
    by_kind = {kind: _by_instance(headers, kind) for kind in FIELDS}
    count = max(map(len, by_kind.values()))
    expected = set(range(1, count + 1))
    if any(set(fields) != expected for fields in by_kind.values()):
        raise MailError("a set of the chain is not complete, or one is missing (RFC 8617 §5.2)")
    sets = tuple(_read_set(*(by_kind[kind][instance] for kind in FIELDS)) for instance in range(1, count + 1))
    if sets and sets[-1].state == "fail":
        raise MailError("the last handler found the chain broken")
    for instance, found in enumerate(sets, 1):
        if found.state != ("none" if instance == 1 else "pass"):
            raise MailError(f"seal {instance} says cv={found.state}")
    return sets


def _by_instance(headers: Headers, kind: str) -> Mapping[int, Field]:
    fields: dict[int, Field] = {}
    for field in headers.all(kind):
        instance = instance_of(field, kind)
        if instance in fields:
            raise MailError(f"two {kind} fields of instance {instance}")
        if instance > MAX_SETS:
            raise MailError(f"more than {MAX_SETS} sets")
        fields[instance] = field
    return fields


def instance_of(field: Field, kind: str) -> int:
    """The instance that a field of a set says; MailError for one without."""
    if kind == _RESULTS_FIELD:  # it is no tag list: i= comes first (RFC 8617 §4.1.1)
        match = _INSTANCE.match(field.text)
    else:
        match = _INSTANCE.fullmatch("i=" + parse_tags(field.text).get("i", ""))
    if match is None:
        raise MailError(f"{kind} without an instance")
    return int(match[1])


def _read_set(results: Field, message_field: Field, seal_field: Field) -> ArcSet:
    tags = parse_tags(seal_field.text)
    if "h" in tags:
        raise MailError("a seal with h= (RFC 8617 §4.1.3)")
    for name in ("a", "b", "cv", "d", "s"):
        if not tags.get(name):
            raise MailError(f"a seal without {name}=")
    algorithm = read_algorithm(tags)
    if algorithm == "rsa-sha1":
        raise MailError("a seal by rsa-sha1 (RFC 8301 §3.1)")
    return ArcSet(
        results,
        message_field,
        seal_field,
        state=tags["cv"].lower(),
        algorithm=algorithm,
        signature=read_base64(tags, "b"),
        domain=signing_domain(tags["d"]),
        selector=signing_selector(tags["s"]),
    )


def _message_signature(field: Field, now: int) -> Signature:
    """RFC 8617 §4.1.2: a DKIM-Signature without a version, whose `i=` is the instance."""
    signature = read_signature(field, parse_tags(field.text), None)
    if b"arc-seal" in signature.names:
        raise MailError("a message signature that covers ARC-Seal")
    if reason := refusal(signature, now):
        raise MailError(f"the newest message signature is not accepted: {reason}")
    return signature
