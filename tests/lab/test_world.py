"""The lab's Internet is one: signed, served twice, changed only with the key, and a mail host that judges."""

import json
import subprocess

import pytest

from mxfleet.lab import guests
from mxfleet.lab.state import DIRECTORY
from tests.lab.running import Lab

ZONES = ("corp.test", "peer.test", "parked.test", "0.77.10.in-addr.arpa", "7.7.0.0.7.7.d.f.ip6.arpa")


def dig(guest: str, *words: str) -> str:
    return guests.run(guest, ["dig", "+time=2", "+tries=1", *words], check=True).stdout.decode()


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("guest", ["world", "office"])
def test_every_zone_is_signed_and_validated(guest: str, zone: str) -> None:
    flags = dig(guest, zone, "SOA").partition("flags:")[2].split(";")[0].split()
    assert "ad" in flags


@pytest.mark.parametrize("zone", [".", *ZONES])
def test_the_secondary_serves_what_the_primary_serves(lab: Lab, zone: str) -> None:
    def serials() -> list[str]:
        servers = ("10.77.0.100", "fd77:77::100", "10.77.0.101", "fd77:77::101")
        return [dig("office", "+short", f"@{server}", zone, "SOA") for server in servers]

    lab.until("both serve the same serial", lambda: len(set(serials())) == 1 and bool(serials()[0]), 10)


def update(words: str, lines: str) -> str:
    script = f"server 10.77.0.100\nzone corp.test.\n{lines}\nsend\n"
    done = guests.run("office", ["sh", "-c", f"nsupdate {words} 2>&1"], input=script.encode())
    return done.stdout.decode()


def test_nobody_changes_a_zone_without_the_key() -> None:
    assert "NOTAUTH" in update("", "update add x.corp.test. 5 TXT x")
    assert dig("office", "+short", "@10.77.0.100", "x.corp.test", "TXT") == ""


def test_a_change_with_the_key_is_signed_and_reaches_everybody(lab: Lab) -> None:
    tsig = json.loads((DIRECTORY / "credentials.json").read_text())["tsig"]
    key = f"-y {tsig['algorithm']}:{tsig['name']}:{tsig['secret']}"
    assert update(key, "update add lab-test.corp.test. 5 TXT seen") == ""
    try:
        lab.until(
            "the secondary has it",
            lambda: "seen" in dig("office", "+short", "@10.77.0.101", "lab-test.corp.test", "TXT"),
        )
        assert " ad;" in dig("office", "lab-test.corp.test", "TXT")
    finally:
        assert update(key, "update delete lab-test.corp.test.") == ""


def test_the_blocklist_answers_as_rfc_5782_asks() -> None:
    assert dig("office", "+short", "2.0.0.127.dnsbl.test") == "127.0.0.2\n"
    assert dig("office", "+short", "1.0.0.127.dnsbl.test") == ""


def test_the_office_refuses_whom_it_does_not_know() -> None:
    command = ["swaks", "--protocol", "LMTP", "--server", "10.77.0.110:24", "--from", "carol@peer.test"]
    done = guests.run("world", [*command, "--to", "nobody@corp.test"])
    assert b"550 5.1.1" in done.stdout


@pytest.mark.parametrize("guest", ["world", "office", "mx1"])
def test_no_guest_has_a_way_out(guest: str) -> None:
    for family in ("-4", "-6"):
        assert guests.run(guest, ["ip", family, "route", "show", "default"], check=True).stdout == b""


def of_host(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("address", ["10.77.0.99", "fd77:77::99"])
def test_the_operator_s_packets_to_the_lab_s_prefixes_never_take_the_default_route(address: str) -> None:
    """With the interface, its own route; without it, the unreachable route of last resort."""
    found = of_host("ip", "route", "get", address)
    assert "dev mxlab0" in found
    family = "-6" if ":" in address else "-4"
    assert "unreachable" in of_host("ip", family, "route", "show", "type", "unreachable")


def test_acme_answers_under_a_certificate_of_the_lab_s_authority() -> None:
    command = ["curl", "--silent", "--show-error", "--fail", "--cacert", "/etc/ssl/mxlab/authority.pem"]
    directory = guests.run("office", [*command, "https://acme.test:14000/dir"], check=True).stdout
    assert "newOrder" in json.loads(directory)
    root = guests.run("office", [*command, "https://acme.test:15000/roots/0"], check=True).stdout
    assert root.startswith(b"-----BEGIN CERTIFICATE-----")
