"""Names as the DNS can be asked for them."""

import pytest

from mxfleet.mail.names import canonical_name, is_askable, is_within


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("A.Test", "a.test"),
        ("a.test.", "a.test"),
        ("_dmarc.a.test", "_dmarc.a.test"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example.", "xn--bcher-kva.example"),
        ("bücher。example", "xn--bcher-kva.example"),
        ("straße.example", ""),
        ("", ""),
        (".", ""),
        ("a..test", ""),
        (".a.test", ""),
        ("a.test..", ""),
        ("a" * 63 + ".test", "a" * 63 + ".test"),
        ("a" * 64 + ".test", ""),
        (".".join(["a" * 49] * 5) + ".abc", ".".join(["a" * 49] * 5) + ".abc"),
        (".".join(["a" * 49] * 5) + ".abcd", ""),
        (".".join(["a" * 49] * 6), ""),
        ("x" * 1_000_000, ""),
    ],
)
def test_the_canonical_form_of_a_name_and_what_has_none(name: str, canonical: str) -> None:
    assert canonical_name(name) == canonical
    assert is_askable(canonical) == bool(canonical)


def test_a_name_is_within_itself_and_its_ancestors_and_not_within_look_alikes() -> None:
    assert is_within("a.b.test", "b.test")
    assert is_within("b.test", "b.test")
    assert not is_within("ab.test", "b.test")
    assert not is_within("b.test", "a.b.test")
