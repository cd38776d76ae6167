"""Who stands behind an address, from the settings."""

from typing import Any

import pytest

from mxfleet.errors import SettingsError
from mxfleet.mail.address import POSTMASTER, Mailbox, parse_mailbox
from mxfleet.mxd.directory import Directory
from mxfleet.mxd.receiving_settings import PolicySettings
from mxfleet.mxd.settings import (
    DomainSettings,
    NodeSettings,
    RouteSettings,
    ServiceSettings,
    Settings,
)

LMTP = RouteSettings(kind="lmtp", host="10.77.0.110", port=24)
SHOP = DomainSettings(name="shop.test", recipients=("sales",), route=LMTP)
OLD = DomainSettings(name="old.test", rewrite_to="corp.test")
ALIASES = {
    "info": ("alice", "bob"),
    "Orders": ("sales@shop.test",),
    "all": ("info", "orders", "alice"),
    "bob": ("bob", "carol@peer.test"),
}


def directory(postmaster: str = "alice@corp.test", **corp: Any) -> Directory:
    options: dict[str, Any] = {"name": "corp.test", "recipients": ("alice", "bob"), "route": LMTP, **corp}
    settings = Settings(
        node=NodeSettings(name="mx1", hostname="mx1.corp.test", release="", address4="10.77.0.11"),
        service=ServiceSettings(hostname="mx.corp.test", postmaster=postmaster),
        domain=(DomainSettings(**options), SHOP, OLD),
    )
    return Directory.of(settings)


def behind(where: Directory, address: str) -> list[str]:
    return [str(found) for found in where.resolve(parse_mailbox(address))]


@pytest.mark.parametrize(
    ("address", "targets"),
    [
        ("info@corp.test", ["alice@corp.test", "bob@corp.test", "carol@peer.test"]),
        ("ORDERS@corp.test", ["sales@shop.test"]),
        ("all@corp.test", ["alice@corp.test", "bob@corp.test", "carol@peer.test", "sales@shop.test"]),
        ("alice@corp.test", ["alice@corp.test"]),
        ("bob@corp.test", ["bob@corp.test", "carol@peer.test"]),
        ("alice+lists@corp.test", ["alice+lists@corp.test"]),
        ("info+x@corp.test", ["alice@corp.test", "bob@corp.test", "carol@peer.test"]),
        ("sales+x@shop.test", []),
        ("postmaster@corp.test", ["alice@corp.test"]),
        ("postmaster@old.test", ["alice@corp.test"]),
        ("info@old.test", ["alice@corp.test", "bob@corp.test", "carol@peer.test"]),
        ("Alice@old.test", ["Alice@corp.test"]),
        ("nobody@corp.test", []),
        ("info@shop.test", []),
        ("alice@deep.corp.test", []),
        ("alice@elsewhere.test", []),
    ],
)
def test_an_address_leads_to_all_who_stand_behind_it(address: str, targets: list[str]) -> None:
    assert behind(directory(aliases=ALIASES, separator="+"), address) == targets


def test_the_catch_all_is_for_who_is_not_otherwise_known() -> None:
    found = directory(catch_all=("bob",))
    assert behind(found, "nobody@corp.test") == ["bob@corp.test"]
    assert behind(found, "alice@corp.test") == ["alice@corp.test"]
    assert behind(found, "postmaster@corp.test") == ["alice@corp.test"]
    assert behind(found, "nobody@shop.test") == []


def test_names_below_a_domain_are_as_the_domain_where_it_says_so() -> None:
    found = directory(subdomains=True, aliases={"info": ("alice",)})
    assert behind(found, "alice@deep.corp.test") == ["alice@deep.corp.test"]
    assert behind(found, "info@deep.corp.test") == ["alice@corp.test"]
    assert behind(found, "nobody@deep.corp.test") == []
    assert found.has("a.b.corp.test")
    assert not found.has("xcorp.test")


def test_the_postmaster_may_be_an_alias_too() -> None:
    found = directory("staff@corp.test", aliases={"staff": ("alice", "bob")})
    both = (Mailbox("alice", "corp.test"), Mailbox("bob", "corp.test"))
    assert found.postmaster == both
    assert found.resolve(parse_mailbox("postmaster@shop.test")) == both


@pytest.mark.parametrize(
    ("corp", "sentence"),
    [
        (
            {"aliases": {"info": ("nobody",)}},
            "alias info of corp.test: nobody@corp.test is nobody's mailbox here",
        ),
        ({"aliases": {"info": ("x@shop.test",)}}, "x@shop.test is nobody's mailbox here"),
        ({"aliases": {"a": ("b",), "b": ("a",)}}, "alias a of corp.test: leads in a circle by a@corp.test"),
        ({"aliases": {"info": ()}}, "alias info of corp.test: leads to nobody"),
        ({"aliases": {"info": ("not an address",)}}, "alias info of corp.test: "),
        ({"catch_all": ("nobody",)}, "catch-all of corp.test: nobody@corp.test is nobody's mailbox here"),
        ({"separator": "+-"}, "separator '+-' is not one character"),
        ({"rewrite_to": "shop.example"}, "rewrite_to shop.example is no domain of ours with mailboxes"),
        ({"rewrite_to": "old.test"}, "rewrite_to old.test is no domain of ours with mailboxes"),
    ],
)
def test_what_leads_nowhere_is_a_sentence(corp: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingsError) as refused:
        directory(**corp)
    assert sentence in str(refused.value)


def test_the_policy_of_a_domain_is_that_of_the_names_below_it() -> None:
    found = directory(subdomains=True, policy=PolicySettings(dmarc="mark"))
    assert found.rules_of(parse_mailbox("alice@deep.corp.test")).settings.dmarc == "mark"
    assert found.rules_of(parse_mailbox("sales@shop.test")).settings.dmarc == "enforce"
    assert found.rules_of(POSTMASTER).settings.dmarc == "mark"
