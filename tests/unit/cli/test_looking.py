"""What nginx shows is looked at as what mxd shows."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mxfleet.cli.looking import NEWEST, newest, with_policies
from mxfleet.fleet.load import load_file
from mxfleet.fleet.transport_policy import policy_hosts
from mxfleet.keys.authority import issue, make_authority
from mxfleet.keys.facts import Issued
from mxfleet.keys.needs import hosts_of
from mxfleet.keys.renewal import behind, late_with
from mxfleet.keys.sight import NodeSight, Observation
from mxfleet.keys.state import State
from tests.unit.keys.test_commands import LAB

FLEET = load_file(Path(LAB))
NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)
HOST, OTHER = "mta-sts.corp.test", "mta-sts.shop.test"
OLD, NEW = ("f0", "s0"), ("f1", "s1")


def no_sleep(_: float) -> None:
    pass


def shows(*answers: tuple[str, str] | None) -> Iterator[tuple[str, str] | None]:
    return iter(answers)


def issued(name: str, at: datetime) -> Issued:
    return issue(make_authority("lab", NOW - timedelta(days=60)), name, at)[0]


def test_what_nginx_shows_stands_beside_what_mxd_shows() -> None:
    sight = NodeSight("mx1", serving={"mx.corp.test": OLD})
    seen = with_policies(sight, "10.77.0.11", {HOST: NEW}, lambda *_: NEW, no_sleep)
    assert seen.serving == {"mx.corp.test": OLD, HOST: NEW}


def test_a_reload_that_is_just_taking_effect_is_given_a_moment() -> None:
    answers = shows(OLD, NEW)
    seen = with_policies(NodeSight("mx1"), "10.77.0.11", {HOST: NEW}, lambda *_: next(answers), no_sleep)
    assert seen.serving == {HOST: NEW}


def test_what_goes_on_with_the_old_certificate_is_seen() -> None:
    seen = with_policies(NodeSight("mx1"), "10.77.0.11", {HOST: NEW}, lambda *_: OLD, no_sleep)
    assert seen.serving == {HOST: OLD}


def test_where_nobody_answers_nobody_is_asked_twice() -> None:
    asked: list[str] = []

    def silent(_: str, name: str) -> None:
        asked.append(name)

    seen = with_policies(NodeSight("mx1"), "10.77.0.11", {HOST: NEW, OTHER: NEW}, silent, no_sleep)
    assert seen.serving == {}
    assert asked == [HOST]


def test_a_node_whose_nginx_shows_the_old_certificate_is_behind_although_the_new_one_lies_there() -> None:
    old, new = issued(HOST, NOW - timedelta(days=30)), issued(HOST, NOW)
    state, hosts = State(certificates=(new,)), hosts_of(FLEET)
    lies = {HOST: (new.fingerprint, new.spki)}
    late = NodeSight("mx2", chains=lies, serving={HOST: (old.fingerprint, old.spki)})
    seen = Observation((NodeSight("mx1", chains=lies, serving=lies), late))
    assert late_with(HOST, state, seen, hosts) == ("mx2",)
    assert behind(state, seen, hosts) == ("mx2",)


def test_of_many_policy_hosts_those_whose_certificates_are_the_newest_are_asked_for() -> None:
    domains = tuple(replace(FLEET.domains[0], name=f"d{number}.test") for number in range(NEWEST + 2))
    fleet = replace(FLEET, domains=(*FLEET.domains, *domains), zones=(), acme=None)
    facts = [issued(name, NOW - timedelta(days=n)) for n, name in enumerate(policy_hosts(fleet))]
    chosen = newest(fleet, State(certificates=tuple(facts)))
    assert list(chosen) == [fact.name for fact in facts[:NEWEST]]
    assert chosen[HOST] == (facts[0].fingerprint, facts[0].spki)
    assert newest(replace(fleet, policy=replace(fleet.policy, mta_sts="none")), State()) == {}
