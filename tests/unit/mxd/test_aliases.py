"""Alias files, and who they lead to."""

import pytest

from mxfleet.errors import SettingsError
from mxfleet.mail.address import Mailbox, parse_mailbox
from mxfleet.mxd.aliases import expand, parse_aliases
from mxfleet.mxd.directory import Directory

LISTED = {"corp.test": frozenset({"alice", "bob"}), "shop.test": frozenset({"sales"})}
TEXT = """
# who reads what
info:  alice, bob   # both
Orders: sales@shop.test
all: info, orders, alice
"""


def directory(text: str) -> Directory:
    aliases = parse_aliases(text, "corp.test", "aliases")
    expanded = {alias: expand(alias, "corp.test", {"corp.test": aliases}, LISTED) for alias in aliases}
    return Directory(LISTED, Mailbox("alice", "corp.test"), {"corp.test": expanded})


@pytest.mark.parametrize(
    ("address", "targets"),
    [
        ("info@corp.test", ["alice@corp.test", "bob@corp.test"]),
        ("ORDERS@corp.test", ["sales@shop.test"]),
        ("all@corp.test", ["alice@corp.test", "bob@corp.test", "sales@shop.test"]),
        ("alice@corp.test", ["alice@corp.test"]),
        ("postmaster@corp.test", ["alice@corp.test"]),
        ("nobody@corp.test", []),
        ("info@shop.test", []),
    ],
)
def test_aliases_lead_to_mailboxes_each_once(address: str, targets: list[str]) -> None:
    assert [str(found) for found in directory(TEXT).resolve(parse_mailbox(address))] == targets


def test_the_catch_all_is_for_who_is_not_otherwise_known() -> None:
    found = directory("*: bob")
    assert found.resolve(parse_mailbox("nobody@corp.test")) == (Mailbox("bob", "corp.test"),)
    assert found.resolve(parse_mailbox("alice@corp.test")) == (Mailbox("alice", "corp.test"),)
    assert found.resolve(parse_mailbox("postmaster@corp.test")) == (Mailbox("alice", "corp.test"),)
    assert found.resolve(parse_mailbox("nobody@shop.test")) == ()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("info alice", "not `name: target"),
        ("info: alice\ninfo: bob", "aliases:2: the alias info stands there twice"),
        ("info@corp.test: alice", "not `name: target"),
        ("info: nobody", "nobody@corp.test is nobody's mailbox here"),
        ("info: x@elsewhere.test", "x@elsewhere.test is nobody's mailbox here"),
        ("info:", "aliases:1"),
        ("a: b\nb: a", "leads in a circle"),
    ],
)
def test_a_wrong_file_is_a_sentence_with_its_place(text: str, sentence: str) -> None:
    with pytest.raises(SettingsError) as refused:
        directory(text)
    assert sentence in str(refused.value)
