"""The tree walk: the examples of RFC 9989 (§4.10, §4.10.2, appendix B.3), and a plain reading of its steps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxfleet.mail.dmarc.walk import Tree, targets
from mxfleet.mail.questions import Question, Unanswered
from tests.unit.mail.zone import TIMEOUT, Zone, answer_from

PLAIN = "v=DMARC1; p=none"


def zone(**records: str) -> dict[str, object]:
    """Records by domain, written with _ for a dot."""
    return {f"_dmarc.{name.replace('_', '.')} TXT": text for name, text in records.items()}


def organization(domain: str, entries: dict[str, object]) -> str:
    return answer_from(entries, Tree().organizational_domain(domain))


def applicable(domain: str, entries: dict[str, object]) -> str | None:
    found = answer_from(entries, Tree().applicable(domain))
    return found.domain if found else None


def test_eight_questions_for_a_name_of_any_length() -> None:
    assert list(targets("a.b.c.d.e.f.g.h.i.j.mail.example.com")) == [
        "a.b.c.d.e.f.g.h.i.j.mail.example.com",
        "g.h.i.j.mail.example.com",
        "h.i.j.mail.example.com",
        "i.j.mail.example.com",
        "j.mail.example.com",
        "mail.example.com",
        "example.com",
        "com",
    ]
    assert list(targets("a.mail.example.com")) == [
        "a.mail.example.com",
        "mail.example.com",
        "example.com",
        "com",
    ]
    assert list(targets("com")) == ["com"]
    for labels in range(1, 12):
        assert len(list(targets(".".join("abcdefghijkl"[:labels])))) == min(labels, 8)


@pytest.mark.parametrize(
    ("domain", "entries", "expected"),
    [
        # §4.10.2
        ("a.mail.example.com", zone(mail_example_com=PLAIN, example_com=PLAIN), "example.com"),
        (
            "a.mail.example.com",
            zone(mail_example_com=PLAIN + "; psd=n", example_com=PLAIN),
            "mail.example.com",
        ),
        ("a.mail.example.com", zone(com=PLAIN + "; psd=y"), "example.com"),
        ("a.mail.example.com", {}, "a.mail.example.com"),
        # B.3.1
        ("example.com", zone(example_com=PLAIN, signing_example_com=PLAIN), "example.com"),
        ("signing.example.com", zone(example_com=PLAIN, signing_example_com=PLAIN), "example.com"),
        # B.3.2
        ("a.b.c.d.e.f.g.h.i.j.k.example.com", zone(example_com=PLAIN), "example.com"),
        # B.3.3
        (
            "giant.bank.example",
            zone(bank_example=PLAIN + "; psd=y", giant_bank_example=PLAIN),
            "giant.bank.example",
        ),
        (
            "mail.giant.bank.example",
            zone(bank_example=PLAIN + "; psd=y", giant_bank_example=PLAIN),
            "giant.bank.example",
        ),
        ("mail.mega.bank.example", zone(bank_example=PLAIN + "; psd=y"), "mega.bank.example"),
        # the public suffix itself is its own organisation
        ("bank.example", zone(bank_example=PLAIN + "; psd=y", example=PLAIN), "bank.example"),
        # beyond eight labels, one label below a suffix is still the start's own
        ("a.b.c.d.e.f.g.h.i.j.k.com", zone(com=PLAIN + "; psd=y"), "k.com"),
    ],
)
def test_where_an_organisation_begins(domain: str, entries: dict[str, object], expected: str) -> None:
    assert organization(domain, entries) == expected


@pytest.mark.parametrize(
    ("domain", "entries", "expected"),
    [
        ("a.example.com", zone(a_example_com=PLAIN, example_com=PLAIN), "a.example.com"),
        ("a.example.com", zone(example_com=PLAIN), "example.com"),
        ("a.b.example.com", zone(b_example_com=PLAIN, example_com=PLAIN), "example.com"),
        ("a.b.example.com", zone(b_example_com=PLAIN + "; psd=n", example_com=PLAIN), "b.example.com"),
        ("mega.bank.example", zone(bank_example=PLAIN + "; psd=y"), "bank.example"),
        (
            "giant.bank.example",
            zone(bank_example=PLAIN + "; psd=y", giant_bank_example=PLAIN),
            "giant.bank.example",
        ),
        # a suffix without psd=y is not known as one: it speaks for all below it (RFC 9989 §4.10.2, rule 3)
        ("a.b.example", zone(example=PLAIN), "example"),
        ("a.example.com", {}, None),
        (
            "a.example.com",
            {"_dmarc.a.example.com TXT": [PLAIN, PLAIN], **zone(example_com=PLAIN)},
            "example.com",
        ),
    ],
)
def test_whose_record_applies(domain: str, entries: dict[str, object], expected: str | None) -> None:
    assert applicable(domain, entries) == expected


def test_a_record_is_asked_for_once_and_a_walk_ends_at_psd() -> None:
    resolve = Zone(zone(example_com=PLAIN + "; psd=n", com=PLAIN))
    tree = Tree()
    for domain in ("a.example.com", "b.example.com"):
        assert answer_from(resolve, tree.organizational_domain(domain)) == "example.com"
    names = ["_dmarc.a.example.com", "_dmarc.example.com", "_dmarc.b.example.com"]
    assert resolve.asked == [Question(name, "TXT") for name in names]


@given(
    st.lists(st.sampled_from("abc"), min_size=1, max_size=11),
    st.dictionaries(st.integers(1, 11), st.sampled_from(["", "; psd=y", "; psd=n"]), max_size=4),
)
def test_a_plain_reading_of_the_steps_finds_the_same_organisation(
    labels: list[str], depths: dict[int, str]
) -> None:
    domain = ".".join(labels)
    records = {".".join(labels[-depth:]): suffix for depth, suffix in depths.items() if depth <= len(labels)}
    # §4.10, steps 1 to 7
    target, x, retrieved = domain, len(labels), []
    first = True
    while target:
        if target in records:
            retrieved.append(target)
            if records[target]:
                break
        if first and x >= 8:
            target = ".".join(labels[-7:])
        else:
            target = ".".join(target.split(".")[1:])
        first = False
    # §4.10.2, rules 1 to 3
    expected = domain
    for name in sorted(retrieved, key=lambda name: -len(name)):
        if records[name] == "; psd=n":
            expected = name
            break
        if records[name] == "; psd=y" and name != domain:
            expected = ".".join(labels[-len(name.split(".")) - 1 :])
            break
    else:
        if retrieved:
            expected = min(retrieved, key=len)
    entries: dict[str, object] = {f"_dmarc.{name} TXT": PLAIN + suffix for name, suffix in records.items()}
    assert organization(domain, entries) == expected


def test_silence_is_never_read_as_absence() -> None:
    with pytest.raises(Unanswered):
        organization("a.example.com", {"_dmarc.example.com": TIMEOUT})
