"""Tables of domains in which one name stands for many."""

import pytest

from mxfleet.mxd.wildcards import Wildcards

TABLE = Wildcards({"corp.test": 1, "*.corp.test": 2, "*.deep.corp.test": 3, "x.corp.test": 4, "*": 5})


@pytest.mark.parametrize(
    ("domain", "found"),
    [
        ("corp.test", 1),
        ("a.corp.test", 2),
        ("a.b.corp.test", 2),
        ("deep.corp.test", 2),
        ("a.deep.corp.test", 3),
        ("a.b.deep.corp.test", 3),
        ("x.corp.test", 4),
        ("y.x.corp.test", 2),
        ("xcorp.test", 5),
        ("test", 5),
        ("[192.0.2.1]", None),
        ("", None),
    ],
)
def test_the_nearest_name_counts(domain: str, found: int | None) -> None:
    assert TABLE.get(domain) == found


def test_without_a_star_the_rest_is_nobody_s() -> None:
    table = Wildcards({"*.corp.test": 1})
    assert table.get("corp.test") is None
    assert table.get("other.test") is None
    assert list(TABLE.values()) == [1, 4, 2, 3, 5]
