"""How nodes stand, read from one command's output, and how it is told."""

import json
from pathlib import Path

from mxfleet.cli.status import told, trouble
from mxfleet.doctor.standing import MARK, Queue, Standing, parse, script, standings, units
from mxfleet.fleet import Node
from mxfleet.fleet.load import load_file

INVENTORIES = Path(__file__).resolve().parents[3] / "inventories"
LAB, SINGLE = load_file(INVENTORIES / "lab.py"), load_file(INVENTORIES / "single.py")


def output(holds: tuple[str, ...] = (), stopped: str = "", queue: object = None) -> str:
    services = "\n\n".join(
        f"Id={unit}\nActiveState={'inactive' if unit == stopped else 'active'}" for unit in units(LAB)
    )
    links = [{"ifname": "eth0", "addr_info": [{"local": address} for address in ("10.77.0.11", *holds)]}]
    waiting = json.dumps(
        queue or {"messages": 0, "deliveries": 0, "octets": 0, "oldest": None, "domains": []}
    )
    return (
        f"{MARK}services\n{services}\n\n{MARK}release\n/opt/mxfleet/releases/0.1.0\n"
        f"{MARK}addresses\n{json.dumps(links)}\n{MARK}clock\n1000000\n{MARK}queue\n{waiting}\n"
    )


def answers(**of: str) -> tuple[Standing, ...]:
    def ask(node: Node, text: str) -> tuple[str, str]:
        assert text == script(LAB)
        return (
            (of[node.name], "")
            if node.name in of
            else ("", "connect to host 10.77.0.12 port 22: No route to host")
        )

    return standings(LAB, ask)


HOLDS = ("10.77.0.10", "fd77:77::10")


def test_a_healthy_fleet_has_no_trouble_and_says_who_holds_the_address() -> None:
    found = answers(mx1=output(HOLDS), mx2=output(), mx3=output())
    assert trouble(LAB, found) == []
    assert told(LAB, found) == [
        "mx1  12/12 services  release 0.1.0  queue empty  holds the service address",
        "mx2  12/12 services  release 0.1.0  queue empty",
        "mx3  12/12 services  release 0.1.0  queue empty",
        "mx.corp.test 10.77.0.10 fd77:77::10: held by mx1",
    ]


def test_of_an_unreachable_node_it_is_said_that_its_mail_waits_there() -> None:
    found = answers(mx1=output(HOLDS), mx3=output())
    (sentence,) = trouble(LAB, found)
    assert sentence == (
        "mx2 is unreachable (connect to host 10.77.0.12 port 22: No route to host): mail that it has accepted waits "
        "on it until it is back; each node keeps its own queue until the cluster exists"
    )


def test_a_stopped_service_is_named_with_its_node() -> None:
    found = answers(mx1=output(HOLDS), mx2=output(), mx3=output(stopped="mxd.service"))
    assert trouble(LAB, found) == ["mx3: mxd.service is inactive"]


def test_two_holders_and_none_are_trouble() -> None:
    two = answers(mx1=output(HOLDS), mx2=output(HOLDS[:1]), mx3=output())
    assert trouble(LAB, two) == ["10.77.0.10 is held by mx1 and mx2 at once"]
    none = answers(mx1=output(HOLDS[:1]), mx2=output(), mx3=output())
    assert trouble(LAB, none) == [
        "fd77:77::10 is held by no reachable node: mail comes in by the other MX hosts only"
    ]


def test_a_queue_is_told_with_its_oldest_message_and_the_words_of_who_did_not_take_it() -> None:
    domains = [
        {"domain": "peer.test", "deliveries": 2, "reply": "451 4.3.0 later"},
        {"domain": "corp.test", "deliveries": 4, "reply": ""},
    ]
    queue = {"messages": 5, "deliveries": 6, "octets": 9, "oldest": 992700.5, "domains": domains}
    found = answers(mx1=output(HOLDS, queue=queue), mx2=output(), mx3=output())
    assert found[0].queue == Queue(5, 2, 7300, {"peer.test": "451 4.3.0 later"})
    assert "queue 5 waiting, 2 deferred, oldest 2 h" in told(LAB, found)[0]
    assert told(LAB, found)[1] == "       to peer.test: 451 4.3.0 later"


def test_a_node_that_was_never_deployed_is_told_as_it_is() -> None:
    bare = f"{MARK}services\nId=mxd.service\nActiveState=inactive\n\n{MARK}release\n{MARK}addresses\n[]\n{MARK}queue\n"
    found = parse(LAB, LAB.node("mx1"), bare)
    assert found == Standing("mx1", services={"mxd.service": "inactive"})
    assert "mx1: its queue could not be read" in trouble(LAB, (found,))


def test_one_node_without_a_service_address_needs_no_failover() -> None:
    assert "keepalived.service" not in units(SINGLE)
    assert "keepalived.service" in units(LAB)
