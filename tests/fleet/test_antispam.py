"""rspamd judges content for this host alone, and private addresses are strangers to it like all others."""

import pytest

from mxfleet.doctor.inside import Inside
from mxfleet.fleet import Fleet, Node

SOCKETS = {"/run/rspamd/controller.sock": ("_rspamd", 0o600), "/run/valkey/mxfleet.sock": ("valkey", 0o770)}
STRANGER = "HFILTER_HOSTNAME_UNKNOWN"
"""rspamd asks for the name of a client only where the client is not local."""


@pytest.fixture(autouse=True)
def scanned(fleet: Fleet) -> None:
    if fleet.policy.scanner is None:
        pytest.skip("this fleet has nobody judge content")


def test_spam_is_refused(node: Node, seen: Inside) -> None:
    assert (node.name, seen.opinions.get("spam")) == (node.name, ("reject", frozenset({"GTUBE"})))


def test_private_addresses_are_no_friends(node: Node, seen: Inside) -> None:
    action, symbols = seen.opinions.get("private", ("no answer", frozenset()))
    assert (node.name, action in ("no action", "add header"), STRANGER in symbols) == (node.name, True, True)


def test_it_is_asked_over_loopback_only_and_valkey_not_over_tcp_at_all(node: Node, seen: Inside) -> None:
    rspamd_and_valkey = {
        (address, port) for address, port in seen.sockets if port in range(11332, 11336) or port == 6379
    }
    assert (node.name, rspamd_and_valkey) == (node.name, {("127.0.0.1", 11333)})


def test_its_sockets_are_its_own(node: Node, seen: Inside) -> None:
    found = {path: (seen.files[path].owner, seen.files[path].mode) for path in SOCKETS if path in seen.files}
    assert (node.name, found) == (node.name, SOCKETS)
