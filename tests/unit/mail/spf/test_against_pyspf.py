"""pyspf and we evaluate generated policies in generated zones: the same result, or the difference has a name."""

import random
import warnings
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Final

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from mxfleet.mail.questions import Answer, Exchange, Question, TempError
from mxfleet.mail.spf.check import check_mail_from
from mxfleet.mail.spf.result import Spf
from tests.unit.mail.zone import TIMEOUT, Zone, answer_from

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its docstrings have escapes that Python no longer knows
    import spf

# By the words of either side's reason, why they differ.
DIFFERENCES: Final = {
    "Void lookup limit": (
        "RFC 7208 §4.6.4 counts terms without an answer; pyspf counts questions: those for each host of an mx, for "
        "each name of a ptr, those of records and macros"
    ),
    "to keep no part": "RFC 7208 §7.3: zero is not allowed; for pyspf it means all parts",
    "trivial recursion": "RFC 7208 §4.6.4 knows the limit of ten lookups only; pyspf refuses an include of itself",
    "x-y= MUST appear at most once": "RFC 7208 §6 says that of redirect and exp; pyspf of every modifier",
    "invalid-macro-char : %{d}/%%": "RFC 7208 §7.1: %% may stand at the end; pyspf sees a lone % there",
    "DNS timed out": "RFC 7208 §5.5: trouble on the way to a client's name is no match; pyspf gives up",
}
NEEDS_A_NAME: Final = ("ptr", "%{p")  # what must be in the zone for the last one

NAMES: Final = ("a.test", "b.test", "c.test", "mail.a.test", "x.b.test", "void.test")
V4: Final = ("192.0.2.1", "192.0.2.9", "198.51.100.7")
V6: Final = ("2001:db8::1", "2001:db8:0:1::9")
MACROS: Final = (
    *(
        "%{d}",
        "%{d2}",
        "%{o}",
        "%{h}",
        "%{l}.a.test",
        "%{ir}.b.test",
        "%{p}",
        "%{l1r-}.%{d}",
        "%{i}._x.%{d3}.a.test",
    ),
    *(
        "test",
        "a..test",
        "%{z}",
        "a.test.",
        "-",
        "%{d0}",
        "a.123",
        "%(d)",
        "%{dr}",
        "%{D}",
        "%{s}",
        "%{v}.%{c}.test",
    ),
)
LENGTHS: Final = ("", "", "", "", "", "/24", "/0", "//64", "/24//32", "/33", "//129", "/024", "/", "//")
NONSENSE: Final = (
    "ptr:",
    "all:x",
    "include",
    "exists",
    "ip4",
    "nonsense",
    "a:",
    "!all",
    "=x",
    "1x=y",
    "foo=%",
    "foo=%{d}/%%",
    "ip4:",
)


class Maker(random.Random):
    """Makes zones of policies that are right more often than not."""

    def term(self) -> str:
        if self.random() < 0.03:
            return self.choice(NONSENSE)
        if self.random() < 0.12:
            return f"{self.choice(['redirect', 'exp', 'x-y'])}={self.target()}"
        return self.choice(["", "", "+", "-", "~", "?"]) + self.mechanism()

    def mechanism(self) -> str:
        name = self.choice(
            ["all", "include", "include", "a", "a", "mx", "mx", "ptr", "exists", "ip4", "ip6", "MX"]
        )
        match name:
            case "include" | "exists":
                return f"{name}:{self.target()}"
            case "a" | "mx" | "MX":
                return f"{name}{self.choice(['', ':' + self.target()])}{self.choice(LENGTHS)}"
            case "ptr":
                return f"{name}{self.choice(['', ':' + self.target()])}"
            case "ip4":
                return f"{name}:{self.choice([*V4, *V4, '192.0.2', '1.2.3.400'])}{self.choice(LENGTHS)}"
            case "ip6":
                return (
                    f"{name}:{self.choice([*V6, *V6, '::ffff:192.0.2.1', '1::2::3'])}{self.choice(LENGTHS)}"
                )
        return name

    def target(self) -> str:
        return self.choice(MACROS) if self.random() < 0.3 else self.choice(NAMES)

    def policy(self) -> str:
        if self.random() < 0.08:
            return self.choice(
                [
                    "v=spf1",
                    "v=spf10 -all",
                    "v=spf1\t-all",
                    "unrelated",
                    "%{i} is not welcome at %{r}, %{c}%%",
                    "v=spf1 é",
                ]
            )
        terms = " ".join(self.term() for _ in range(self.randrange(5)))
        start = self.choice(["v=spf1 ", "v=spf1 ", "v=spf1  ", "V=SPF1 "])
        return f"{start}{terms}{self.choice(['', ' -all', ' ~all', ' '])}"

    def some(self, values: Sequence[str], most: int) -> list[str]:
        return self.sample(values, self.randint(0, most))

    def zone(self) -> dict[str, object]:
        zone: dict[str, object] = {}
        for name in NAMES[:-1]:
            zone[f"{name} TXT"] = [self.policy() for _ in range(self.choice([0, 1, 1, 1, 1, 1, 1, 2]))]
            zone[f"{name} A"] = self.some(V4, 2)
            zone[f"{name} AAAA"] = self.some(V6, 2)
            zone[f"{name} MX"] = [(10, host) for host in self.some(NAMES, 3)]
            if self.random() < 0.04:
                zone[name] = TIMEOUT
        for address in (*V4, *V6):
            zone[f"{ip_address(address).reverse_pointer} PTR"] = self.some(NAMES, 3)
        return {key: value for key, value in zone.items() if value}


def pyspf_answers(zone: dict[str, object]) -> Any:
    """The function that pyspf asks the DNS with, on our zone."""
    resolve = Zone(zone)

    def look_up(name: str, kind: str, *_: object) -> Iterator[tuple[tuple[str, str], object]]:
        response = resolve(Question(name, kind)) if kind != "SPF" else None  # type: ignore[arg-type]
        if isinstance(response, TempError):
            raise spf.TempError("DNS timed out")  # type: ignore[no-untyped-call]
        for record in response.records if isinstance(response, Answer) else ():
            yield (name, kind), _for_pyspf(record)

    return look_up


def _for_pyspf(record: object) -> object:
    match record:
        case IPv4Address():
            return str(record)
        case IPv6Address():
            return record.packed
        case Exchange(preference, host):
            return (preference, host)
        case bytes():
            return (record,)
    return record


def oracle(address: str, hello: str, sender: str) -> tuple[str, str]:
    query = spf.query(  # type: ignore[no-untyped-call]
        i=address, s=sender, h=hello, receiver="mx.corp.test", strict=True, timeout=0
    )
    result, _, said = query.check()  # type: ignore[no-untyped-call]
    return result, said


@settings(max_examples=3 * settings().max_examples)
@given(st.integers(0, 1 << 64))
def test_both_say_the_same_or_the_difference_has_a_name(seed: int) -> None:
    make = Maker(seed)
    zone, address, hello = make.zone(), make.choice([*V4, *V6]), make.choice(NAMES)
    sender = f"{make.choice(['alice', 'a.b-c', 'x+y'])}@{make.choice(NAMES[:3])}"
    check = check_mail_from(ip_address(address), hello, sender, receiver="mx.corp.test")
    ours: Spf = answer_from(Zone(zone), check)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spf, "DNSLookup", pyspf_answers(zone))
        theirs, said = oracle(address, hello, sender)
    event(f"result {ours.result}")
    if ours.result == theirs:
        return
    named = [words for words in DIFFERENCES if words in f"{ours.reason} {said}"]
    if named == ["DNS timed out"] and not any(words in str(zone) for words in NEEDS_A_NAME):
        named = []
    assert named, f"ours {ours}, pyspf {theirs} ({said}) for {address} {hello} {sender} in {zone}"
    event(f"difference: {named[0]}")
