"""Show 6: checkdmarc, which has read the same RFCs, finds nothing to complain about in what we publish."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from mxfleet.lab import network
from mxfleet.lab.plan import PREFIX
from tests.lab.running import Lab

INSIDE_WORLD = ("nsenter", f"--net={network.NAMESPACES}/{PREFIX}world")
"""There a resolver listens that validates, and there is no way to any other: nothing leaves the machine."""
ASK = """
import json, socket, sys, dns.resolver, checkdmarc
resolver = dns.resolver.Resolver(configure=False)
resolver.nameservers = ["127.0.0.1"]
system = socket.getaddrinfo
def found_in_world(host, port, *more, **options):  # policies are fetched by HTTPS, with the system's own resolver
    return system(str(resolver.resolve(host, "A")[0]), port, *more, **options)
socket.getaddrinfo = found_in_world
found = {
    name: checkdmarc.check_domains(
        [name], parked=parked, resolver=resolver, nameservers=["127.0.0.1"], timeout=10.0, retries=2
    )
    for name, parked in json.loads(sys.argv[1]).items()
}
json.dump(found, sys.stdout)
"""
ACCEPTED = (
    ("bimi", "A BIMI record does not exist"),  # a logo is no business of an exchange
    ("mx", "has a null MX record (RFC 7505)"),  # a parked domain says so on purpose
)
OF_PARKED = (("mta_sts", "does not exist"), ("smtp_tls_reporting", "does not exist"))
"""Nothing is ever sent to a domain with a null MX: there is nothing to secure or to report (RFC 7505 §4)."""


@pytest.fixture(scope="module")
def opinions(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    believed = tmp_path_factory.mktemp("checkdmarc") / "authorities.pem"
    believed.write_text(lab.inside("world", "cat /run/mxlab/authorities.pem"))
    domains = json.dumps({domain.name: domain.parked for domain in lab.fleet.domains})
    done = subprocess.run(
        [*INSIDE_WORLD, sys.executable, "-c", ASK, domains],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "REQUESTS_CA_BUNDLE": str(believed)},
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def complaints(about: Any, where: str = "") -> Iterator[tuple[str, str]]:
    """Every warning and error, with the part that it is about."""
    if isinstance(about, list):
        for item in about:
            yield from complaints(item, where)
    if isinstance(about, dict):
        for name, value in about.items():
            if name in ("warnings", "error", "errors"):
                yield from (
                    (where, str(text)) for text in (value if isinstance(value, list) else [value]) if text
                )
            else:
                yield from complaints(value, where or name)


def test_nothing_is_wrong_with_what_we_publish(lab: Lab, opinions: dict[str, Any]) -> None:
    found = []
    for domain in lab.fleet.domains:
        accepted = (*ACCEPTED, *(OF_PARKED if domain.parked else ()))
        if lab.fleet.policy.mta_sts == "none":
            accepted = (*accepted, ("mta_sts", "does not exist"))
        found += [
            (domain.name, where, text)
            for where, text in complaints(opinions[domain.name])
            if not any(where == part and words in text for part, words in accepted)
        ]
    assert found == []


def test_it_has_looked_at_what_we_think_it_has(lab: Lab, opinions: dict[str, Any]) -> None:
    """Else it could not have complained."""
    for domain in lab.fleet.domains:
        told = opinions[domain.name]
        assert told["dnssec"] is True
        assert told["spf"]["valid"] is True
        assert told["dmarc"]["valid"] is True
        assert told["dmarc"]["tags"]["p"]["value"] == "reject"
        assert told["dmarc"]["tags"]["rua"]["value"]
        assert [host["dnssec"] for host in told["mx"]["hosts"]] == [True] * len(told["mx"]["hosts"])
        assert bool(told["mx"]["hosts"]) is not domain.parked
    assert opinions["corp.test"]["smtp_tls_reporting"]["valid"] is True
