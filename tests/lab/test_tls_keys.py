"""Certificates from Pebble on all nodes, renewed with a key that DNS knew before: who verifies by DANE never fails."""

import json
import smtplib
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from mxfleet.doctor.outside import handshake
from mxfleet.keys.ledger import read_signing, read_state
from mxfleet.keys.lifecycle import KeyState
from mxfleet.keys.state import KeyView
from tests.lab.running import ROOT, Lab

FINGER = "PATH=$PATH:/usr/sbin posttls-finger -c -l dane -t 10 -T 10"
WATCHED = ("mx.corp.test", "mx2.corp.test")
WATCH = """
rm -f /run/mxlab/dane /run/mxlab/enough
while [ ! -e /run/mxlab/enough ]; do
    for host in {hosts}; do
        {finger} "[$host]" 2>&1 | grep -E 'TLS connection established|ailed|rror' | head -1 >>/run/mxlab/dane || true
    done
    sleep 0.3
done
"""


def keys(lab: Lab, name: str, state: KeyState) -> list[KeyView]:
    return [k for k in read_state(ROOT / lab.fleet.state_directory).tls(name) if k.state is state]


def tended(lab: Lab, name: str, state: KeyState, seconds: float = 90) -> KeyView:
    """Tend until a key of the name is in that state."""
    end = time.monotonic() + seconds
    while not (found := keys(lab, name, state)):
        assert time.monotonic() < end, lab.mxfleet("tls", "status").stdout
        done = lab.mxfleet("tend", "--wait", "3")
        assert done.returncode != 1, done.stderr
    return found[0]


def verified(lab: Lab, host: str) -> str:
    """What a sender that insists on DANE finds at the host, from outside."""
    return lab.inside("world", f'{FINGER} "[{host}]" 2>&1')


@contextmanager
def watching(lab: Lab) -> Iterator[list[str]]:
    """Sender after sender in world, all the while; what each found, once it is over."""
    found: list[str] = []
    script = WATCH.format(hosts=" ".join(WATCHED), finger=FINGER)
    lab.inside(
        "world",
        "cat >/run/mxlab/watch; systemd-run --quiet --unit=mxlab-watch sh /run/mxlab/watch",
        script.encode(),
    )
    try:
        yield found
    finally:
        lab.inside(
            "world", "touch /run/mxlab/enough; while systemctl -q is-active mxlab-watch; do sleep 0.1; done"
        )
        found += lab.inside(
            "world", "cat /run/mxlab/dane; rm -f /run/mxlab/dane /run/mxlab/watch"
        ).splitlines()


def test_every_node_shows_certificates_of_the_authority_and_senders_verify_them_by_dane(lab: Lab) -> None:
    signing = read_signing(ROOT / lab.fleet.state_directory)
    assert {c.name for c in signing.certificates if "mta-sts" not in c.name} == {
        lab.fleet.mx_hostname, "submit.corp.test", *(node.hostname for node in lab.fleet.nodes)
    }  # fmt: skip
    shown = {c.name: c.fingerprint for c in signing.certificates}
    for node in lab.fleet.nodes:
        for name in (node.hostname, lab.fleet.mx_hostname):
            assert handshake(str(node.address4), 25, name).fingerprint == shown[name], (node.name, name)
        assert "Verified TLS connection established" in verified(lab, node.hostname)
    assert {f.issuer for f in read_state(ROOT / lab.fleet.state_directory).certificates} == {"acme"}


def test_a_reload_touches_no_session(lab: Lab) -> None:
    node = lab.fleet.nodes[0]
    lab.inside(node.name, "systemctl restart mxd")
    lab.healthy(node.name)
    with smtplib.SMTP(str(node.address4), 25, timeout=60) as session:
        session.ehlo("operator.peer.test")
        lab.inside(node.name, "systemctl reload mxd")
        assert session.noop()[0] == 250


def test_a_renewal_uses_the_key_that_was_published_before_and_no_sender_and_no_session_notices(
    lab: Lab,
) -> None:
    spares = {name: tended(lab, name, KeyState.STANDBY) for name in WATCHED}
    before = {name: keys(lab, name, KeyState.ACTIVE)[0] for name in WATCHED}
    assert lab.mxfleet("dkim", "rotate", "corp.test").returncode != 1  # its keys are under way meanwhile
    holder = next(node for node in lab.fleet.nodes if node.name == lab.holder())
    with smtplib.SMTP(str(holder.address4), 25, timeout=60) as session, watching(lab) as found:
        session.ehlo("operator.peer.test")
        done = lab.mxfleet("tls", "renew", *WATCHED, "--wait", "60", timeout=300)
        assert done.returncode != 1, done.stderr
        assert session.noop()[0] == 250
        for name in WATCHED:
            tended(lab, name, KeyState.STANDBY)  # of the new line: the next one is in DNS already
        lab.until("the old records are gone", lambda: not _still(lab, before), 60)
        assert session.noop()[0] == 250
    assert len(found) > 10, found
    assert {line.partition(" TLS connection established")[0].split(": ")[-1] for line in found} == {
        "Verified"
    }, found
    for name, spare in spares.items():
        assert [key.id for key in keys(lab, name, KeyState.ACTIVE)] == [spare.id]
        assert spare.spki.upper() in verified(lab, name)
    assert lab.mxfleet("drift").returncode == 0


def _still(lab: Lab, before: dict[str, KeyView]) -> bool:
    """Whether a name server still has the record of an old key."""
    lab.mxfleet("tend")
    records = lab.inside(
        "world", " ; ".join(f"dig +short @10.77.0.101 _25._tcp.{name} TLSA" for name in before)
    )
    flat = records.replace(" ", "").lower()
    return any(key.spki in flat for key in before.values())


def test_a_renewal_whose_record_one_server_does_not_show_is_refused_and_names_the_server(lab: Lab) -> None:
    name = "mx3.corp.test"
    spare = tended(lab, name, KeyState.STANDBY)
    lab.inside("world", "systemctl stop named")
    try:
        done = lab.mxfleet("tls", "renew", name)
    finally:
        lab.inside("world", "systemctl start named")
    assert done.returncode == 1, done.stdout
    assert (
        f"{name} is not renewed: the TLSA record of its next key {spare.label} is not visible: "
        in done.stderr
    )
    assert "ns2.test (10.77.0.101) does not answer" in done.stderr
    assert not [key for key in keys(lab, name, KeyState.ACTIVE) if key.id == spare.id]


def test_status_lists_each_name_with_its_keys(lab: Lab) -> None:
    told = json.loads(lab.mxfleet("tls", "status", "--json").stdout)
    rows = {row["name"]: row for row in told["certificates"]}
    assert rows["mx.corp.test"]["issuer"] == "acme"
    assert [key["state"] for key in rows["mx.corp.test"]["keys"]].count("active") == 1


@pytest.mark.parametrize("words", [("mx9.corp.test",)])
def test_a_name_that_is_not_the_fleets_is_refused(lab: Lab, words: tuple[str, ...]) -> None:
    done = lab.mxfleet("tls", "renew", *words)
    assert done.returncode == 1
    assert "fleet 'lab' has no host mx9.corp.test — its names are mx.corp.test, " in done.stderr
