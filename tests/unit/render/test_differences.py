"""What differs is found, named, and nothing else is."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from mxfleet.fleet.secrets import Secret
from mxfleet.render.desired import Desired, desire
from mxfleet.render.differences import differences
from mxfleet.render.keyed import BESIDE, digest_beside
from mxfleet.render.observation import Access, Observation, UnitState
from mxfleet.render.policyhost import SANDBOX
from mxfleet.render.smtp import DKIM

from .samples import fleet_of, inputs_of, resolve, signing_of

FLEET = fleet_of("lab")
TARGET = desire(FLEET, FLEET.nodes[1], signing_of(FLEET), inputs_of(FLEET), resolve)


def converged(target: Desired) -> Observation:
    """A node that is exactly as it shall be."""
    places = [(f.path, Access(f.owner, f.group, f.mode)) for f in target.files]
    places += [(d.path, Access(d.owner, d.group, d.mode)) for d in target.directories]
    return Observation(
        digests=dict(target.digests),
        access=dict(places),
        ours=frozenset(path for path in target.digests if path.startswith("/etc/mxfleet/")),
        packages=frozenset(target.questions.packages),
        users=frozenset(target.users),
        units={unit.name: UnitState("active", "enabled") for unit in target.units},
        loaded={unit.name: (target.note(unit),) for unit in target.units if unit.loaded},
        settings=dict(target.settings),
        release=target.release,
        releases=frozenset({target.release, "older"}),
    )


SEEN = converged(TARGET)
UNITS, LOADED = SEEN.units, SEEN.loaded
NFT, RULES = "/etc/nftables.conf", ("nftables.service", LOADED["nftables.service"][0])


def without(mapping: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in mapping.items() if name != key}


def test_a_node_that_is_as_it_shall_be_has_no_difference() -> None:
    assert differences(TARGET, SEEN) == ()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"digests": {**SEEN.digests, NFT: "0" * 64}}, f"file {NFT}: content differs"),
        ({"digests": without(SEEN.digests, NFT)}, f"file {NFT}: does not exist"),
        (
            {"access": {**SEEN.access, NFT: Access("root", "root", 0o666)}},
            f"file {NFT}: is root:root 0666, not root:root 0644",
        ),
        (
            {"access": {**SEEN.access, "/etc/mxfleet/dkim": Access("root", "root", 0o755)}},
            "directory /etc/mxfleet/dkim: is root:root 0755, not root:mxd 0750",
        ),
        ({"ours": SEEN.ours | {"/etc/mxfleet/old.pem"}}, "file /etc/mxfleet/old.pem: does not belong here"),
        ({"packages": SEEN.packages - {"unbound"}}, "package unbound: not installed"),
        ({"users": frozenset({"mxd"})}, "user keepalived_script: does not exist"),
        (
            {"settings": {**SEEN.settings, "net.ipv4.tcp_syncookies": "0"}},
            "kernel setting net.ipv4.tcp_syncookies: is 0, not 1",
        ),
        ({"release": "older"}, f"release {TARGET.release}: not current (older is)"),
        ({"releases": frozenset({"older"})}, f"release {TARGET.release}: not unpacked"),
        (
            {"units": {**UNITS, "mxd.service": UnitState("failed", "enabled")}},
            "unit mxd.service: is failed",
        ),
        ({"units": {**UNITS, "ssh.service": UnitState("active", "disabled")}}, "unit ssh.service: is disabled"),
        (
            {"units": {**UNITS, "unbound.service": UnitState("active", "enabled", stale=True)}},
            "unit unbound.service: systemd has not read its file again",
        ),
        (
            {"loaded": {**LOADED, "mxd.service": ("0" * 64,)}},
            "unit mxd.service: runs with something else than is in place",
        ),
        ({"loaded": without(LOADED, "keepalived.service")}, "unit keepalived.service: runs with something else than is in place"),
        (
            {"loaded": {**LOADED, RULES[0]: (RULES[1], "noted")}, "rules": "changed"},
            "firewall rules in the kernel: differ from what was loaded",
        ),
    ],
)  # fmt: skip
def test_one_thing_that_differs_is_one_sentence(change: dict[str, Any], said: str) -> None:
    assert [str(found) for found in differences(TARGET, replace(SEEN, **change))] == [said]


def test_a_changed_key_is_owed_a_restart_although_its_file_is_in_place_already() -> None:
    """The run that placed the file died before the restart: the next one still knows."""
    key = next(file.path for file in TARGET.files if "/dkim/" in file.path)
    newer = replace(TARGET, digests={**TARGET.digests, key: "1" * 64})
    placed = replace(SEEN, digests=dict(newer.digests))
    assert [found.subject for found in differences(newer, placed)] == ["mxd.service"]


def test_a_bare_node_differs_in_everything() -> None:
    found = differences(TARGET, Observation())
    assert {item.kind for item in found} >= {
        "package",
        "user",
        "directory",
        "file",
        "setting",
        "release",
        "unit",
    }
    assert {item.subject for item in found if item.kind == "file"} == set(TARGET.digests)


def test_what_the_fleet_no_longer_needs_is_a_difference_only_while_it_runs_with_our_settings() -> None:
    without = replace(FLEET, policy=replace(FLEET.policy, rspamd=None))
    target = desire(without, without.nodes[1], signing_of(without), inputs_of(without), resolve)
    seen = converged(target)
    units = {**seen.units, "rspamd.service": UnitState("active", "enabled")}
    assert differences(target, replace(seen, units=units)) == ()
    loaded = {**seen.loaded, "rspamd.service": LOADED["rspamd.service"]}
    (found,) = differences(target, replace(seen, units=units, loaded=loaded))
    assert str(found) == "unit rspamd.service: runs with our settings, and nobody needs it"
    assert differences(target, replace(seen, loaded=loaded)) == ()


def test_nginx_is_stopped_once_no_domain_has_a_policy_any_more() -> None:
    without = replace(FLEET, policy=replace(FLEET.policy, mta_sts="none"))
    target = desire(without, without.nodes[1], signing_of(without), inputs_of(without), resolve)
    seen = converged(target)
    units = {**seen.units, "nginx.service": UnitState("active", "enabled")}
    assert differences(target, replace(seen, units=units)) == ()  # somebody else's
    loaded = {**seen.loaded, "nginx.service": LOADED["nginx.service"]}
    (found,) = differences(target, replace(seen, units=units, loaded=loaded))
    assert str(found) == "unit nginx.service: runs with our settings, and nobody needs it"
    assert found.role == "policyhost"


def test_nor_does_it_stay_enabled_where_it_did_not_run_when_it_was_to_be_stopped() -> None:
    """It would start with settings of ours that name certificates which are gone."""
    without = replace(FLEET, policy=replace(FLEET.policy, mta_sts="none"))
    target = desire(without, without.nodes[1], signing_of(without), inputs_of(without), resolve)
    assert SANDBOX in target.questions.paths
    seen = converged(target)
    units = {**seen.units, "nginx.service": UnitState("failed", "enabled")}
    assert differences(target, replace(seen, units=units)) == ()  # somebody else's
    (found,) = differences(target, replace(seen, units=units, digests={**seen.digests, SANDBOX: "0" * 64}))
    assert str(found) == "unit nginx.service: is enabled with our settings, and nobody needs it"
    gone = {**seen.units, "nginx.service": UnitState("inactive", "disabled")}
    assert differences(target, replace(seen, units=gone, digests={**seen.digests, SANDBOX: "0" * 64})) == ()


def test_a_unit_is_owed_a_restart_for_each_sandbox_of_ours_that_changes() -> None:
    sandboxes = [file.path for file in TARGET.files if file.path.endswith(".d/40-mxfleet.conf")]
    assert len(sandboxes) == 3  # nginx, rspamd, valkey
    for path in sandboxes:
        newer = replace(TARGET, digests={**TARGET.digests, path: "1" * 64})
        (found,) = differences(newer, replace(SEEN, digests=dict(newer.digests)))
        assert found.subject == path.split("/")[-2].removesuffix(".d")
        unit = next(unit for unit in newer.units if unit.name == found.subject)
        assert not unit.reload or path in unit.fixed


def rotated(target: Desired) -> Desired:
    """The same fleet once another RSA key signs for one domain, and has another certificate."""
    signing = signing_of(FLEET)
    new = replace(signing.dkim[0], selector="r20261201-000000", secret=Secret("dkim/new"))
    chain = replace(signing.certificates[0], chain_pem=signing.certificates[0].chain_pem + "renewed\n")
    signing = replace(signing, dkim=(new, *signing.dkim[1:]), certificates=(chain, *signing.certificates[1:]))
    return desire(FLEET, target.node, signing, inputs_of(FLEET), resolve)


def beside(target: Desired) -> dict[str, str]:
    texts = {file.path: file.text for file in target.files}
    return {path: digest_beside(path, texts[path]) for path in BESIDE}


def test_the_directories_of_keys_belong_to_them_and_no_other_does() -> None:
    access = {path: found for path, found in SEEN.access.items() if path in SEEN.digests}
    missing = {found.subject: found.keys for found in differences(TARGET, replace(SEEN, access=access))}
    assert missing[DKIM]
    assert missing[f"{DKIM}/corp.test"]
    assert not missing["/etc/mxfleet"]


def test_what_a_key_changes_on_a_node_is_known_as_that() -> None:
    target = desire(FLEET, FLEET.nodes[0], signing_of(FLEET), inputs_of(FLEET), resolve)
    seen = replace(converged(target), beside=beside(target))
    found = differences(rotated(target), seen)
    assert {item.subject for item in found} == {
        "/etc/mxfleet/dkim/corp.test/r20261123-7f3c9a.pem", "/etc/mxfleet/dkim/corp.test/r20261201-000000.pem",
        "/etc/mxfleet/mxd.toml", "/etc/mxfleet/tls/mx1.corp.test/fullchain.pem", "mxd.service",
        "/etc/systemd/system/mxd.service.d/50-mxfleet.conf",
    }  # fmt: skip
    assert all(item.keys for item in found)


def test_what_else_changes_in_the_same_files_and_roles_is_not() -> None:
    """A new next hop, another release, a firewall rule, a policy of MTA-STS: they wait for who changed them."""
    policy = replace(FLEET.policy, mta_sts_max_age=86401, message_size=12_345_678)
    other = replace(FLEET, policy=policy, admin_networks=FLEET.admin_networks[:1])
    target = desire(FLEET, FLEET.nodes[0], signing_of(FLEET), inputs_of(FLEET), resolve)
    wanted = replace(
        desire(other, other.nodes[0], signing_of(other), inputs_of(other), resolve), release="newer"
    )
    seen = replace(converged(target), beside=beside(target))
    found = [item for item in differences(wanted, seen) if not item.keys]
    assert {item.subject for item in found} >= {
        "/etc/mxfleet/mxd.toml", "/usr/local/share/mxfleet/policy/.well-known/mta-sts.txt", "newer", "/etc/nftables.conf",
    }  # fmt: skip


@pytest.mark.parametrize("state", ["failed", "inactive"])
def test_a_service_that_does_not_run_is_no_matter_of_keys(state: str) -> None:
    seen = replace(SEEN, units={**UNITS, "mxd.service": UnitState(state, "enabled")}, loaded={})
    assert not any(item.keys for item in differences(TARGET, seen) if item.subject == "mxd.service")
