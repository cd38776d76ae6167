"""As the world sees each node: nothing open but mail, and no relay."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from mxfleet.doctor.outside import extensions, is_open, replies
from mxfleet.fleet import Fleet, Node
from mxfleet.fleet.transport_policy import policy_hosts

CLOSED = (
    53,
    80,
    110,
    111,
    143,
    443,
    993,
    2379,
    2380,
    5355,
    5432,
    8008,
    8025,
    8953,
    9100,
    11332,
    11333,
    11334,
)
"""Services that run on nodes now or will, that Debian may bring, and the peers' own health port."""


def test_only_mail_ports_are_open_from_here(fleet: Fleet, node: Node) -> None:
    wanted = {25, fleet.ssh.port, *((465, 587) if fleet.accounts else ())}
    wanted |= {443} if policy_hosts(fleet) else set()
    targets = [(str(address), port) for address in node.addresses for port in sorted({*CLOSED, *wanted})]
    with ThreadPoolExecutor(len(targets)) as pool:
        found = dict(zip(targets, pool.map(lambda target: is_open(*target), targets), strict=True))
    assert (node.name, {target for target in targets if found[target]}) == (
        node.name,
        {(str(address), port) for address in node.addresses for port in wanted},
    )


@pytest.mark.parametrize(
    "recipient",
    [
        "x@elsewhere.test",
        "x%elsewhere.test@{domain}",
        "@{domain}:x@elsewhere.test",
        "x@[127.0.0.1]",
        '"x@elsewhere.test"',
    ],
)
def test_a_stranger_cannot_relay(fleet: Fleet, node: Node, recipient: str) -> None:
    domain = next(domain.name for domain in fleet.domains if not domain.parked)
    for sender in ("x@elsewhere.test", f"postmaster@{domain}", ""):
        told = replies(
            str(node.address4),
            25,
            [
                "EHLO outside.test",
                f"MAIL FROM:<{sender}>",
                f"RCPT TO:<{recipient.format(domain=domain)}>",
                "QUIT",
            ],
        )
        assert told[2][:1] == "5" or told[3][:1] == "5", (node.name, told)


def test_a_recipient_that_does_not_exist_is_refused_before_the_message(fleet: Fleet, node: Node) -> None:
    domain = next(domain.name for domain in fleet.domains if not domain.parked)
    nobody = f"RCPT TO:<nobody-{node.name}@{domain}>"
    told = replies(str(node.address4), 25, ["EHLO outside.test", "MAIL FROM:<>", nobody, "QUIT"])
    assert (node.name, told[3][:9]) == (node.name, "550 5.1.1")


def test_no_password_is_asked_for_in_the_clear(fleet: Fleet, node: Node) -> None:
    ports = (25, 587) if fleet.accounts else (25,)
    found = {port: {"AUTH", "STARTTLS"} & extensions(str(node.address4), port) for port in ports}
    assert (node.name, found) == (node.name, {port: {"STARTTLS"} for port in ports})
