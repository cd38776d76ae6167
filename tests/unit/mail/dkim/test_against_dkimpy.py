"""dkimpy signs, something changes the message or not, both verify: they must agree, or the difference has a name."""

import re
import time
from base64 import b64decode
from collections.abc import Callable
from typing import Final

import dkim
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from hypothesis import event, given
from hypothesis import strategies as st

from mxfleet.errors import MessageError
from mxfleet.mail.dkim.record import record_text
from tests.unit.mail.dkim.messages import short_rsa_pem, verdicts

EDWARDS_SEED: Final = b"nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="

# Where we refuse what dkimpy accepts, by the words of our reason.
STRICTER: Final = {
    "with l=": "RFC 6376 §8.2: with l= anybody may add to the body; dkimpy only checks the prefix",
    "rsa-sha1": "RFC 8301 §3.1: historic; dkimpy still verifies it",
}
# Where we accept what dkimpy refuses, by what dkimpy said.
MORE_LENIENT: Final = {
    "MessageFormatError": "dkimpy cannot read a header field with white space before its colon (RFC 5322 §4.5.8)",
}

WORDS = st.sampled_from(
    ["hello", "  spaced \t out ", "folded\r\n here", "folded\r\n\twith\r\n  tabs", "", "ü"]
)
NAMES = st.sampled_from(["Subject", "To", "Date", "X-Thing", "subject", "List-Id"])
BODIES = st.lists(st.sampled_from([b"line", b" ", b"\t", b"\r\n", b"\r\n", b".", b"\xff"]), max_size=20).map(
    lambda parts: b"".join(parts) + b"\r\n"
)


@st.composite
def signed_messages(draw: st.DrawFn) -> tuple[bytes, bool]:
    """A message with a signature of dkimpy's, and whether it is RSA."""
    names = draw(st.lists(NAMES, max_size=5))
    fields = [f"{name}: {draw(WORDS)}\r\n".encode() for name in names]
    fields.insert(draw(st.integers(0, len(fields))), b"From: Alice <alice@news.sender.test>\r\n")
    message = b"".join(fields) + b"\r\n" + draw(BODIES)
    rsa = draw(st.integers(0, 19)) == 0  # dkimpy's RSA is slow
    algorithm = draw(st.sampled_from([b"rsa-sha256", b"rsa-sha1"])) if rsa else b"ed25519-sha256"
    form = st.sampled_from([b"simple", b"relaxed"])
    covered = [b"from", *(name.lower().encode() for name in draw(st.lists(NAMES, max_size=6)))]
    signature = dkim.DKIM(message).sign(  # type: ignore[no-untyped-call]
        b"r1" if rsa else b"e1",
        b"sender.test",
        short_rsa_pem() if rsa else EDWARDS_SEED,
        signature_algorithm=algorithm,
        identity=draw(st.sampled_from([None, b"@sender.test", b"alice@news.sender.test"])),
        canonicalize=(draw(form), draw(form)),
        include_headers=covered,
        length=draw(st.integers(0, 9)) == 0,
    )
    return signature + message, rsa


def untouched(message: bytes, _: int) -> bytes:
    return message


def one_octet(message: bytes, at: int) -> bytes:
    position = at % len(message)
    old = message[position : position + 1]
    return message if old in b"\r\n" else message[:position] + b"Q" + message[position + 1 :]


def one_octet_less(message: bytes, at: int) -> bytes:
    position = at % len(message)
    return message if message[position] in b"\r\n" else message[:position] + message[position + 1 :]


def other_white_space(message: bytes, at: int) -> bytes:
    blanks = [match.start() for match in re.finditer(rb" ", message)]
    position = blanks[at % len(blanks)]
    return message[:position] + (b"\t", b"  ", b"", b"\r\n ")[at % 4] + message[position + 1 :]


def one_more_field(message: bytes, at: int) -> bytes:
    ends = [match.end() for match in re.finditer(rb"\r\n(?=[^ \t\r])", message.partition(b"\r\n\r\n")[0])]
    position = (ends or [0])[at % max(len(ends), 1)]
    field = (b"Subject: more\r\n", b"From: eve@evil.test\r\n", b"X-New: x\r\n", b"To : spaced\r\n")[at % 4]
    return message[:position] + field + message[position:]


def longer_body(message: bytes, at: int) -> bytes:
    return message + (b"\r\n", b" \r\n", b"more\r\n")[at % 3]


def another_tag(message: bytes, at: int) -> bytes:
    tag = (b"q=dns/txt:x", b"z=From:x", b"x_y=1", b"x=9", b"t=99999999999", b"v=1", b"a=rsa-sha1")[at % 7]
    return message.replace(b"v=1;", b"v=1; " + tag + b";", 1)


CHANGES: Final[tuple[Callable[[bytes, int], bytes], ...]] = (
    untouched,
    one_octet,
    one_octet_less,
    other_white_space,
    one_more_field,
    longer_body,
    another_tag,
)


def zone(rsa: bool) -> dict[str, object]:
    if rsa:
        key = load_pem_private_key(short_rsa_pem(), password=None)
        assert isinstance(key, RSAPrivateKey)
        return {"r1._domainkey.sender.test TXT": record_text(key.public_key())}
    edwards = Ed25519PrivateKey.from_private_bytes(b64decode(EDWARDS_SEED))
    return {"e1._domainkey.sender.test TXT": record_text(edwards.public_key())}


def oracle(message: bytes, rsa: bool) -> tuple[bool, str]:
    records = {key.partition(" ")[0]: str(text).encode() for key, text in zone(rsa).items()}
    try:
        passed = dkim.DKIM(message).verify(  # type: ignore[no-untyped-call]
            dnsfunc=lambda name, timeout=0: records.get(name.decode().rstrip("."), b"")
        )
    except dkim.DKIMException as error:
        return False, f"{type(error).__name__}: {error}"
    except (AssertionError, ValueError, IndexError) as error:
        return False, f"crash of dkimpy: {error}"
    return bool(passed), "signature did not verify"


@given(signed_messages(), st.sampled_from(CHANGES), st.integers(0, 5_000))
def test_both_say_the_same_or_the_difference_has_a_name(
    made: tuple[bytes, bool], change: Callable[[bytes, int], bytes], at: int
) -> None:
    message, rsa = made
    changed = change(message, at)
    accepted, said = oracle(changed, rsa)
    try:
        (verdict, *_) = verdicts(changed, zone(rsa), now=int(time.time())) or (None,)
    except MessageError:
        event("the header section is none")
        return
    passed = verdict is not None and verdict.result == "pass"
    event(f"{change.__name__}: {passed}")
    if passed == accepted:
        return
    reason = verdict.reason if verdict is not None else "no field of that name"
    names = MORE_LENIENT if passed else STRICTER
    named = [words for words in names if words in (said if passed else reason)]
    assert named, f"ours {verdict}, dkimpy {accepted} ({said})"
    event(f"difference: {named[0]}")
