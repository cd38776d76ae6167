"""What is rendered is what the service reads, strictly."""

from dataclasses import fields, replace
from typing import Any

import msgspec
import pytest

from mxfleet.fleet import (
    CallAhead,
    Destination,
    Fleet,
    Forwarding,
    Greylist,
    Limits,
    Network4,
    Node,
    Receiving,
    Relay,
    Rspamd,
    Secret,
    Sending,
    Smtp,
)
from mxfleet.mail.address import Mailbox
from mxfleet.mxd import settings
from mxfleet.mxd.directory import Directory
from mxfleet.mxd.limits_settings import LimitSettings
from mxfleet.mxd.receiving_settings import CallAheadSettings, GreylistSettings, PolicySettings, RspamdSettings
from mxfleet.mxd.routing_check import routing_problems
from mxfleet.mxd.routing_settings import listed
from mxfleet.render import render
from mxfleet.render.smtp import ACCOUNTS, SETTINGS

from .samples import INVENTORIES, RELEASE, fleet_of, inputs_of, resolve, signing_of

NODES = [(fleet_of(name), node) for name in INVENTORIES for node in fleet_of(name).nodes]


def content(fleet: Fleet, node: Node, path: str) -> str:
    files = render(fleet, node, signing_of(fleet), inputs_of(fleet))
    return next(file for file in files if file.path == path).content(resolve).decode()


@pytest.mark.parametrize(("fleet", "node"), NODES, ids=lambda value: value.name)
def test_the_service_reads_its_settings(fleet: Fleet, node: Node) -> None:
    read = settings.parse(content(fleet, node, SETTINGS))
    assert read.node.name == node.name
    assert read.node.release == RELEASE
    assert {domain.name for domain in read.domain} == {d.name for d in fleet.domains if not d.parked}
    assert read.certificate[0].name == node.hostname
    assert len(read.dkim) == 2 * len(read.domain)


@pytest.mark.parametrize(("fleet", "node"), NODES, ids=lambda value: value.name)
def test_every_path_in_the_settings_is_a_rendered_file(fleet: Fleet, node: Node) -> None:
    read = settings.parse(content(fleet, node, SETTINGS))
    named = {certificate.chain for certificate in read.certificate}
    named |= {certificate.key for certificate in read.certificate} | {key.key for key in read.dkim}
    named |= {hop.password_file for d in read.domain for hop in listed(d.route) if hop.password_file}
    named |= {read.paths.accounts} | ({read.forwarding.keys} if read.forwarding else set())
    rendered = {file.path for file in render(fleet, node, signing_of(fleet), inputs_of(fleet))}
    assert named <= rendered


@pytest.mark.parametrize(("fleet", "node"), NODES, ids=lambda value: value.name)
def test_the_service_reads_its_accounts(fleet: Fleet, node: Node) -> None:
    read = settings.parse_accounts(content(fleet, node, ACCOUNTS))
    assert [(account.address, account.also) for account in read.account] == [
        (account.address, account.also) for account in fleet.accounts
    ]
    assert all(account.hash == f"<accounts/{account.address}>" for account in read.account)


def test_evidence_is_gathered_where_the_fleet_says_so() -> None:
    fleet, node = NODES[0]
    without = replace(fleet, policy=replace(fleet.policy, evidence=False, dns_lists=()))
    assert settings.parse(content(without, node, SETTINGS)).evidence is None
    chosen = replace(fleet, policy=replace(fleet.policy, dns_lists=("zen.test", "other.test")))
    read = settings.parse(content(chosen, node, SETTINGS)).evidence
    assert read is not None
    assert [found.zone for found in read.list] == ["zen.test", "other.test"]


STRICT = Receiving(
    dmarc="mark",
    quarantine="reject",
    spf="enforce",
    iprev="enforce",
    lists="mark",
    rspamd="mark",
    temporary="mark",
    greylist="on",
    exempt_networks=(Network4("192.0.2.0/24"),),
    exempt_authors=("partner.example",),
    sealers=("list.example", "other.example"),
)
AS_READ = PolicySettings(
    dmarc="mark",
    quarantine="reject",
    spf="enforce",
    iprev="enforce",
    lists="mark",
    rspamd="mark",
    temporary="mark",
    greylist="on",
    exempt_networks=("192.0.2.0/24",),
    exempt_authors=("partner.example",),
    sealers=("list.example", "other.example"),
)


def test_every_rule_of_the_fleet_and_of_a_domain_arrives() -> None:
    fleet, node = NODES[0]
    domains = (replace(fleet.domains[0], receiving=STRICT), *fleet.domains[1:])
    chosen = replace(
        fleet, domains=domains, policy=replace(fleet.policy, receiving=replace(STRICT, dmarc="enforce"))
    )
    read = settings.parse(content(chosen, node, SETTINGS))
    assert read.policy == msgspec.structs.replace(AS_READ, dmarc="enforce")
    assert [domain.policy for domain in read.domain] == [AS_READ, *(None for _ in read.domain[1:])]


def test_the_rules_of_a_fleet_are_by_default_those_of_the_service() -> None:
    fleet, node = NODES[0]
    chosen = replace(fleet, policy=replace(fleet.policy, receiving=Receiving(), rspamd=Rspamd()))
    read = settings.parse(content(chosen, node, SETTINGS))
    assert (read.policy, read.rspamd) == (PolicySettings(), RspamdSettings())


def test_rspamd_is_asked_as_the_fleet_says() -> None:
    fleet, node = NODES[0]
    chosen = replace(fleet, policy=replace(fleet.policy, rspamd=Rspamd(unreachable="defer", timeout=3)))
    assert settings.parse(content(chosen, node, SETTINGS)).rspamd == RspamdSettings(
        unreachable="defer", timeout=3
    )


@pytest.mark.parametrize(
    "change", [{"rspamd": None}, {"rspamd": Rspamd(), "evidence": False, "dns_lists": ()}]
)
def test_rspamd_is_not_asked_where_there_is_none_or_nothing_is_looked_at(change: dict[str, Any]) -> None:
    fleet, node = NODES[0]
    chosen = replace(fleet, policy=replace(fleet.policy, **change))
    assert settings.parse(content(chosen, node, SETTINGS)).rspamd is None


def test_the_limits_of_a_fleet_are_by_default_those_of_the_service_and_spare_administrators() -> None:
    fleet, node = NODES[0]
    chosen = replace(fleet, policy=replace(fleet.policy, limits=Limits()))
    read = settings.parse(content(chosen, node, SETTINGS))
    administrators = tuple(map(str, fleet.admin_networks))
    spared = (*LimitSettings().exempt_networks, *administrators)
    assert read.limits == LimitSettings(exempt_networks=spared)
    default = settings.ServiceSettings(hostname="")
    assert (read.service.sessions, read.service.sessions_per_address) == (
        default.sessions, default.sessions_per_address,
    )  # fmt: skip


def test_every_limit_of_the_fleet_arrives() -> None:
    fleet, node = NODES[0]
    given = {field.name: 10 + number for number, field in enumerate(fields(Limits))} | {"memory": 10_000_000}
    chosen = replace(fleet, policy=replace(fleet.policy, limits=Limits(**given)))
    read = settings.parse(content(chosen, node, SETTINGS))
    found = {name: getattr(read.limits, name, None) or getattr(read.service, name, None) for name in given}
    assert found == given


def test_greylisting_and_call_ahead_are_by_default_those_of_the_service_and_arrive() -> None:
    fleet, node = NODES[0]
    read = settings.parse(content(fleet, node, SETTINGS))
    assert (read.greylist, read.call_ahead) == (GreylistSettings(), CallAheadSettings())
    policy = replace(
        fleet.policy,
        greylist=Greylist(delay=1, window=2, lifetime=3, sender="address"),
        call_ahead=CallAhead(positive=1, negative=2, stale=3, timeout=4, unreachable="accept"),
    )
    domains = (replace(fleet.domains[0], call_ahead=True), *fleet.domains[1:])
    read = settings.parse(content(replace(fleet, policy=policy, domains=domains), node, SETTINGS))
    assert read.greylist == GreylistSettings(delay=1, window=2, lifetime=3, sender="address")
    assert read.call_ahead == CallAheadSettings(
        positive=1, negative=2, stale=3, timeout=4, unreachable="accept"
    )
    assert [domain.call_ahead for domain in read.domain] == [True, *(False for _ in read.domain[1:])]


def test_all_that_a_fleet_can_say_of_routing_is_read_and_makes_sense() -> None:
    fleet, node = NODES[0]
    hub = Smtp("hub.test", 587, require_tls=True, username="u", password=Secret("routes/hub"))
    corp = replace(
        fleet.domains[0],
        route=(hub, Smtp("spare.test", priority=20)),
        aliases={"odd.name+x": (fleet.domains[0].recipients[0], "x@elsewhere.test")},
        catch_all=("x@elsewhere.test",),
        separator="-",
        subdomains=True,
    )
    other = replace(
        corp, name="old.test", rewrite_to=corp.name, recipients=(), route=None, aliases={}, catch_all=()
    )
    wide = replace(
        fleet,
        domains=(corp, *fleet.domains[1:], other),
        acme=None,
        zones=(),
        relays=(Relay("*.partner.test", hub), Relay("*", Smtp("smart.test"))),
        forwarding=Forwarding(domain=corp.name),
        sending=Sending(
            connections=3,
            per_minute=30.5,
            set_aside=5,
            destinations=(Destination(name="slow.test", connections=1, per_minute=2),),
        ),
    )
    read = settings.parse(content(wide, node, SETTINGS))
    assert list(routing_problems(read)) == []
    first = read.domain[0]
    assert [(hop.host, hop.priority) for hop in listed(first.route)] == [("hub.test", 10), ("spare.test", 20)]
    named = [listed(first.route)[0].password_file, listed(read.relay[0].route)[0].password_file]
    assert named == [f"/etc/mxfleet/routes/{corp.name}", "/etc/mxfleet/routes/_.partner.test"]
    assert all(content(wide, node, path) == "<routes/hub>\n" for path in named)
    assert read.forwarding is not None
    assert content(wide, node, read.forwarding.keys) == "<srs/keys>\n"
    directory = Directory.of(read)
    assert [str(found) for found in directory.resolve(Mailbox("whoever", "deep." + corp.name))] == [
        "x@elsewhere.test"
    ]
    assert directory.resolve(Mailbox(corp.recipients[0] + "-detail", "old.test"))
    limits = read.delivery
    assert (limits.per_destination, limits.per_minute, limits.set_aside) == (3, 30.5, 5.0)
    assert (read.destination[0].tls, read.destination[0].per_minute) == ("", 2.0)
