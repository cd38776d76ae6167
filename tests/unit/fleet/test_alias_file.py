"""Alias files are read into the same value that an inventory would write."""

from pathlib import Path

import pytest

from mxfleet.errors import FleetError
from mxfleet.fleet import alias_file
from mxfleet.fleet.alias_file import read_aliases

FILE = """\
# who answers for what
info: alice, bob     # both
sales: sales,
    carol@peer.test

abuse: postmaster
"""


def test_each_line_is_an_alias_and_an_indented_one_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "aliases"
    path.write_text(FILE)
    assert alias_file(path) == {
        "info": ("alice", "bob"),
        "sales": ("sales", "carol@peer.test"),
        "abuse": ("postmaster",),
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("info alice", "aliases:1: not `name: target, target`: 'info alice'"),
        ("\ninfo: alice\ninfo: bob", "aliases:3: the alias info stands there twice"),
        ("info: ,", "aliases:1: the alias info has no target"),
        ("info: |/usr/bin/vacation", "aliases:1: alias info: |/usr/bin/vacation is no address"),
        ("info: :include:/etc/list", "aliases:1: alias info: :include:/etc/list is no address"),
    ],
)
def test_each_mistake_is_one_line_with_its_place(text: str, words: str) -> None:
    with pytest.raises(FleetError) as caught:
        read_aliases(text, "aliases")
    assert caught.value.message == words


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match=r"alias file .*/none: cannot be read: .*No such file"):
        alias_file(tmp_path / "none")
