"""An MTA-STS policy is served by every node, and changes in an order that loses no mail: policy, then id, then MX."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mxfleet.fleet.load import load_file
from mxfleet.fleet.transport_policy import policy_id, policy_text
from mxfleet.lab.letters import Post
from tests.lab.running import Lab

CURL = "curl --silent --show-error --fail --cacert /run/mxlab/authorities.pem --max-time 10"
URL = "https://mta-sts.{domain}/.well-known/mta-sts.txt"
NEW_EXCHANGE = 'nodes=(*_LAB.nodes[:2], replace(_LAB.nodes[2], hostname="mx9.corp.test"))'
CHANGE = "policy=replace(_LAB.policy, mta_sts_max_age=86401)"


def served(lab: Lab, address: str = "", domain: str = "corp.test") -> str:
    """The policy as `world` gets it, the certificate verified; at an address of its choice or that of DNS."""
    where = f"--resolve mta-sts.{domain}:443:{address}" if address else ""
    return lab.inside("world", f"{CURL} {where} {URL.format(domain=domain)}")


def announced(lab: Lab) -> str:
    return lab.inside("world", "dig +short @10.77.0.101 _mta-sts.corp.test TXT").strip()


def delivered(lab: Lab) -> None:
    """The peer's Postfix, which asks for policies, delivers by a connection that it has verified."""
    asked = "PATH=$PATH:/usr/sbin; postmap -q corp.test socketmap:inet:127.0.0.1:8461:postfix || true"
    lab.until("the peer has a policy for us", lambda: lab.inside("world", asked).startswith("secure"))
    subject = f"policy {policy_id(lab.fleet)[:6]}"
    letter = f"From: <carol@peer.test>\nTo: <alice@corp.test>\nSubject: {subject}\n\nhello\n"
    queued = lab.inside(
        "world",
        "date +%s; PATH=$PATH:/usr/sbin; sendmail -f carol@peer.test alice@corp.test",
        letter.encode(),
    )
    since = queued.split()[0]
    log = f"journalctl -u 'postfix*' -o cat --since @{since}"
    lab.until(
        "the peer has delivered",
        lambda: "to=<alice@corp.test>" in lab.inside("world", f"{log} | grep status=sent || true"),
    )
    assert "Verified TLS connection established to mx.corp.test" in lab.inside("world", log)


def test_an_exchange_that_the_announced_policy_does_not_name_gets_no_mail(
    lab: Lab, variant: Callable[[str], Path]
) -> None:
    """Else a sender that keeps the policy would refuse to deliver to it."""
    exchanges = "dig +short @10.77.0.101 corp.test MX | sort"
    before = lab.inside("world", exchanges)
    refused = lab.mxfleet("dns", "apply", "--fleet", str(variant(NEW_EXCHANGE)), "--without", "mta-sts")
    assert refused.returncode == 1
    assert "policy-before-mx: mx9.corp.test would get mail of corp.test" in refused.stderr
    assert lab.inside("world", exchanges) == before


@pytest.fixture
def changed(lab: Lab, variant: Callable[[str], Path]) -> Iterator[Path]:
    """The lab's inventory with another policy; afterwards everything is as it was."""
    yield variant(CHANGE)
    lab.deploy()
    assert lab.mxfleet("dns", "apply").returncode == 0


def test_the_policy_is_served_under_a_verified_name_at_the_service_address_and_on_every_node(
    lab: Lab,
) -> None:
    wanted = policy_text(lab.fleet)
    for address in (lab.service[0], *(node.address4 for node in lab.fleet.nodes)):
        for domain in ("corp.test", "shop.test"):
            assert served(lab, str(address), domain) == wanted, address
    assert announced(lab) == f'"v=STSv1; id={policy_id(lab.fleet)}"'


def test_a_policy_is_announced_only_once_every_host_serves_it_and_the_peer_goes_on_delivering(
    lab: Lab, changed: Path, post: Post
) -> None:
    delivered(lab)
    fleet = load_file(changed)
    refused = lab.mxfleet("dns", "apply", "--fleet", str(changed))
    assert refused.returncode == 1
    assert "policy-before-id: corp.test would announce a policy that is not there: mx" in refused.stderr
    assert "serves another policy" in refused.stderr
    assert policy_id(lab.fleet) in announced(lab)

    done = lab.mxfleet("deploy", "--fleet", str(changed), "--json")
    assert done.returncode == 0, done.stderr
    assert {change["node"] for change in json.loads(done.stdout)["changes"]} == {n.name for n in fleet.nodes}
    assert served(lab) == policy_text(fleet)
    assert policy_id(lab.fleet) in announced(
        lab
    )  # the policy is there, the old id still stands: nobody is harmed
    delivered(lab)

    applied = lab.mxfleet("dns", "apply", "--fleet", str(changed))
    assert applied.returncode == 0, applied.stdout + applied.stderr
    lab.until("the secondary has the new id", lambda: policy_id(fleet) in announced(lab))
    delivered(lab)


SHOWS_ANOTHER = """
set -e
cd /etc/mxfleet/tls/mta-sts.corp.test
cp -a . /run/mxlab-saved
cp -a ../mta-sts.shop.test/. .
nginx -s reload
sleep 1
cp -a /run/mxlab-saved/. .
rm -r /run/mxlab-saved
"""


def test_a_node_whose_nginx_shows_another_certificate_than_lies_there_is_named(lab: Lab) -> None:
    """As after a renewal that it did not take in."""
    node = lab.roll_order()[0]
    lab.inside(node, SHOWS_ANOTHER)
    try:
        assert lab.mxfleet("drift").returncode == 0  # by its files all is well
        told = json.loads(lab.mxfleet("tls", "status", "--json").stdout)
    finally:
        lab.inside(node, "systemctl reload nginx")
    late = {row["name"]: row["late"] for row in told["certificates"] if row["late"]}
    assert late == {"mta-sts.corp.test": [node]}
