"""Verifying DKIM signatures (RFC 6376 §6, RFC 8301, RFC 8463): each signature gets a verdict of its own.

The words of RFC 8601 §2.7.1 are used like this: `neutral` the signature cannot be read, `policy` it can but we do
not accept its kind, `permerror` there is no usable key, `temperror` nobody knows now, `fail` message and signature
differ, `pass`.
"""

from base64 import b64encode
from functools import partial
from typing import Final, Literal, TypeAlias

import msgspec

from mxfleet.errors import MailError
from mxfleet.mail.dkim.bodies import BodyHashes, Canonicalization
from mxfleet.mail.dkim.lookup import VerifyingKey, fetch_key, misfit
from mxfleet.mail.dkim.selection import chosen
from mxfleet.mail.dkim.signature import FORMS, Signature, parse_signature, without_value
from mxfleet.mail.dkim.tags import parse_tags, without_folds
from mxfleet.mail.message import Field, Headers
from mxfleet.mail.names import canonical_name
from mxfleet.mail.questions import Question, Questions, Unanswered

DkimResult: TypeAlias = Literal["pass", "fail", "policy", "neutral", "temperror", "permerror"]

MAX_SIGNATURES: Final = 8  # of which one message's are looked at, from the top
CLOCK_SKEW: Final = 3600  # seconds by which a signer's clock may be wrong


class Dkim(msgspec.Struct, frozen=True):
    """The verdict on one signature.

    `identity` is its `i=`, `head` the beginning of its `b=` that tells signatures apart (RFC 6008); `testing`
    says that the domain is only trying (`t=y`), which is no excuse for the message (RFC 6376 §3.6.1).
    """

    result: DkimResult
    domain: str = ""
    selector: str = ""
    algorithm: str = ""
    identity: str = ""
    head: str = ""
    reason: str = ""
    testing: bool = False


class Verifier:
    """Verifies the signatures of one message, whose body may still be on its way.

    verifier = Verifier(headers, now=int(time))
    verifier.questions                                    # may be asked ahead, while the body arrives
    bodies = BodyHashes(verifier.canonicalizations)
    bodies.update(piece)                                  # as often as needed
    verdicts = yield from verifier.verify(bodies)         # from the top, at most MAX_SIGNATURES + 1; () for an unsigned message
    """

    __slots__ = ("_headers", "_readings", "_signatures")

    def __init__(self, headers: Headers, *, now: int) -> None:
        """`now` in seconds since 1970, for `t=` and `x=`."""
        self._headers = headers
        authors = len(headers.by_name.get(b"from", ()))
        fields = headers.by_name.get(b"dkim-signature", ())
        self._readings = [_read(field, now, authors) for field in fields[:MAX_SIGNATURES]]
        # One verdict for all others: a header section full of them must not become as many lines of ours.
        self._readings += map(_unread, fields[MAX_SIGNATURES : MAX_SIGNATURES + 1])
        self._signatures = [found for found in self._readings if isinstance(found, Signature)]

    @property
    def canonicalizations(self) -> frozenset[Canonicalization]:
        """The forms in which the body must be hashed; empty where no signature is worth it."""
        return frozenset([signature.body_form for signature in self._signatures])

    @property
    def questions(self) -> tuple[Question, ...]:
        """What `verify` will ask."""
        return tuple([Question(signature.key_name, "TXT") for signature in self._signatures])

    def verify(self, bodies: BodyHashes) -> Questions[tuple[Dkim, ...]]:
        """The verdicts, once the whole body was taken."""
        verdicts = []
        for found in self._readings:
            if isinstance(found, Signature):
                found = yield from self._verdict(found, bodies.digest(found.body_form))
            verdicts.append(found)
        return tuple(verdicts)

    def _verdict(self, signature: Signature, body_hash: bytes) -> Questions[Dkim]:
        say = partial(_say, signature)
        try:
            key = yield from fetch_key(signature.key_name)
        except Unanswered as error:
            return say("temperror", str(error))
        except MailError as error:
            return say("permerror", str(error))
        record, testing = key.record, key.record.testing
        if trouble := misfit(record, signature.algorithm, signature.identity_domain, signature.domain):
            return say("permerror", trouble, testing)
        if key.weakness:
            return say("policy", key.weakness, testing)
        if body_hash != signature.body_hash:
            return say("fail", "the body is not the one that was signed", testing)
        if not covers(signature, self._headers, key):
            return say("fail", "the header is not the one that was signed, or the key is another", testing)
        return say("pass", "", testing)


def covers(signature: Signature, headers: Headers, key: VerifyingKey) -> bool:
    """Whether the key signed the header fields as they stand (RFC 6376 §3.7)."""
    octets = FORMS[signature.header_form](chosen(headers, signature.names))
    octets += without_value(signature.field, signature.header_form)
    return key.verifies(signature.signature, octets)


def refusal(signature: Signature, now: int) -> str:
    """Why a well-formed signature is not even looked up, "" where it is."""
    if signature.algorithm == "rsa-sha1":
        return "rsa-sha1 is historic (RFC 8301 §3.1)"
    if signature.length:
        return "with l= anybody may add to the body (RFC 6376 §8.2)"
    if signature.timestamp is not None and signature.timestamp > now + CLOCK_SKEW:
        return "it was signed in the future"
    if signature.expiration is not None and signature.expiration < now - CLOCK_SKEW:
        return "it has expired"
    return ""


def _read(field: Field, now: int, authors: int) -> Signature | Dkim:
    try:
        signature = parse_signature(field)
    except MailError as error:
        return _unread(field, "neutral", str(error))
    reason = refusal(signature, now)
    if authors != 1:  # RFC 6376 §8.15: a reader may be shown another one than was signed
        reason = f"the message has {authors} From fields"
    return _say(signature, "policy", reason) if reason else signature


def _unread(
    field: Field,
    result: DkimResult = "policy",
    reason: str = f"neither this nor what follows was looked at: more than {MAX_SIGNATURES} signatures",
) -> Dkim:
    try:
        tags = parse_tags(field.text)
    except MailError:
        tags = {}
    domain, selector = canonical_name(tags.get("d", "")), canonical_name(tags.get("s", ""))
    return Dkim(result, domain, selector, head=without_folds(tags.get("b", ""))[:8], reason=reason)


def _say(signature: Signature, result: DkimResult, reason: str, testing: bool = False) -> Dkim:
    return Dkim(
        result,
        signature.domain,
        signature.selector,
        signature.algorithm,
        signature.identity,
        b64encode(signature.signature[:6]).decode("ascii"),  # RFC 6008 §3: at least eight characters
        reason,
        testing,
    )
