"""A real mxd on loopback and what an operator does with its queue; hosts that hang take only their own slots."""

import smtplib
from collections.abc import Callable
from datetime import datetime
from typing import Any

from mxfleet.mxd.window import BEGIN
from tests.unit.mxd.conftest import (
    Service,
    make_service,
    make_sink,
    service,
    workshop,
)

__all__ = ["Service", "make_service", "make_sink", "service", "workshop"]


def send(running: Any, count: int, recipient: str = "alice@corp.test", sender: str = "x@else.test") -> None:
    with smtplib.SMTP("127.0.0.1", running.ports["smtp"]) as client:
        for number in range(count):
            client.sendmail(sender, [recipient], f"Subject: {number}\r\n\r\nbody {number}\r\n".encode())


def test_hold_release_delete_and_reroute_as_an_operator_types_them(
    service: Any, make_sink: Callable[..., Any]
) -> None:
    refusing, other = make_sink(), make_sink(lmtp=False)
    refusing.replies["MAIL"] = "451 4.3.0 not now"
    service.settings["domain"][0]["route"]["port"] = refusing.port
    service.settings["retry"] = {"first": 60, "longest": 60, "lifetime": 600}
    service.start()
    send(service, 3)
    service.wait(lambda: len(service.log("deferred")) == 3)
    assert service.json("queue", "hold", "--domain", "corp.test", "--json") == {"changed": 3, "busy": 0}
    items = service.json("queue", "list", "--json")
    assert [item["held"] for item in items] == [True] * 3
    one, two, three = [item["trace"] for item in items]
    assert service.json("queue", "delete", "--trace", one, "--json")["changed"] == 1
    assert service.mxd("queue", "delete").returncode == 1  # of what?
    assert "2 held" in service.mxd("queue", "summary").stdout
    refused = service.mxd("queue", "reroute", "--all", "--to", "mx.test")
    assert (refused.returncode, "not a host and a port" in refused.stderr) == (1, True)
    hop = f"127.0.0.1:{other.port}"
    assert service.json("queue", "reroute", "--trace", two, "--to", hop, "--json")["changed"] == 1
    assert service.json("queue", "release", "--trace", two, "--json")["changed"] == 1
    service.wait(lambda: len(service.log("delivered")) == 1)
    assert len(other.messages) == 1
    assert service.mxd("queue", "show", three).stdout.startswith(three)
    assert service.mxd("queue", "expire", "--trace", three).stdout == "1 on their last try\n"
    service.wait(lambda: bool(service.log("failed")))  # the queue shows it a moment earlier
    assert service.waiting() == 0
    assert service.log("failed")[0]["reply"].startswith("undelivered for too long: 451 4.3.0 not now")


def test_many_messages_for_one_host_share_few_connections(
    service: Any, make_sink: Callable[..., Any]
) -> None:
    sink = make_sink()
    service.settings["domain"][0]["route"]["port"] = sink.port
    service.settings["delivery"] = {"per_destination": 2}
    service.start()
    send(service, 60)
    sink.wait(lambda: len(sink.messages) == 60)
    assert sink.connections <= 4
    service.wait(lambda: service.waiting() == 0)


def test_a_host_that_is_gone_is_left_alone_and_retry_asks_it_at_once(
    service: Any, make_sink: Callable[..., Any]
) -> None:
    service.settings["retry"] = {"first": 120, "longest": 120, "lifetime": 600}
    service.start()
    send(service, 30)
    service.wait(lambda: bool(service.log("destination left alone")))
    assert len(service.log("deferred")) < 30
    assert service.waiting() == 30
    service.stop()
    sink = make_sink()
    service.settings["domain"][0]["route"]["port"] = sink.port
    service.start()
    service.wait(lambda: service.mxd("queue", "retry", "--all").returncode == 0)
    sink.wait(lambda: len(sink.messages) == 30)


def test_one_message_to_two_domains_of_one_host_is_one_data(
    service: Any, make_sink: Callable[..., Any]
) -> None:
    sink = make_sink()
    service.settings["domain"][0]["route"]["port"] = sink.port
    shop = {"name": "shop.test", "recipients": ["sales"], "route": {**service.settings["domain"][0]["route"]}}
    service.settings["domain"].append(shop)
    service.start()
    with smtplib.SMTP("127.0.0.1", service.ports["smtp"]) as client:
        to = ["alice@corp.test", "bob@corp.test", "sales@shop.test"]
        client.sendmail("x@else.test", to, b"Subject: all\r\n\r\nbody\r\n")
    service.wait(lambda: len(service.log("delivered")) == 3)
    assert len(sink.messages) == 1
    assert len(sink.messages[0][1]) == 3


def domain(name: str, *sinks: Any) -> dict[str, Any]:
    hops = [
        {"kind": "lmtp", "host": "127.0.0.1", "port": sink.port, "priority": 10 * n}
        for n, sink in enumerate(sinks, 1)
    ]
    return {"name": name, "recipients": ["alice"], "route": hops}


def test_hosts_that_hang_take_no_place_from_the_others(service: Any, make_sink: Callable[..., Any]) -> None:
    quick, hanging = make_sink(), [make_sink() for _ in range(4)]
    service.settings["domain"][0]["route"]["port"] = quick.port
    for number, sink in enumerate(hanging):
        sink.hang, sink.patience = True, 600.0
        service.settings["domain"].append(domain(f"h{number}.test", sink))
    service.settings["delivery"] = {"attempts": 8, "per_destination": 5}
    service.start()
    for number in range(4):
        send(service, 10, f"alice@h{number}.test")
    service.wait(lambda: sum(sink.connections for sink in hanging) >= 8)  # they have all places
    send(service, 20)
    quick.wait(lambda: len(quick.messages) == 20, 60.0)
    assert not service.log("deferred"), "one of those that hang has ended: the test shows nothing"
    assert all(sink.connections <= 5 for sink in hanging)
    service.stop(service.KILL)


def test_a_rate_spreads_what_one_destination_gets(service: Any, make_sink: Callable[..., Any]) -> None:
    sink, other = make_sink(), make_sink()
    service.settings["domain"][0]["route"]["port"] = sink.port
    service.settings["domain"].append(domain("other.test", other))
    service.settings["destination"] = [{"name": "corp.test", "per_minute": 120.0, "connections": 2}]
    service.start()
    send(service, 6)
    send(service, 20, "alice@other.test")
    other.wait(lambda: len(other.messages) == 20)
    sink.wait(lambda: len(sink.messages) == 6)
    service.wait(lambda: len(service.log("delivered")) == 26)
    begun = sorted(service.log("delivered"), key=lambda line: line["time"])
    slow = [line["time"] for line in begun if line["recipient"] == "alice@corp.test"]
    assert (
        seconds_between(slow[0], slow[-1]) >= 2.0
    )  # 5 pauses of half a second, less what a busy machine blurs
    assert sink.connections <= 2


def seconds_between(first: str, last: str) -> float:
    return (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()


def test_a_next_hop_that_fails_is_set_aside_and_all_of_them_defer(
    service: Any, make_sink: Callable[..., Any]
) -> None:
    first, second = make_sink(), make_sink()
    service.settings["domain"].append(domain("two.test", first, second))
    service.settings["delivery"] = {"set_aside": 1000.0}
    service.start()
    first.replies["LHLO"] = "421 4.3.2 closing"
    send(service, 1, "alice@two.test")
    second.wait(lambda: len(second.messages) == 1)
    (said,) = service.log("host set aside")
    assert (said["port"], said["reply"]) == (first.port, "421 4.3.2 closing")
    asked = first.connections
    send(service, 3, "alice@two.test")
    second.wait(lambda: len(second.messages) == 4)
    assert first.connections == asked
    second.replies["LHLO"] = "421 4.3.2 closing too"
    service.stop()
    service.start()
    send(service, 1, "alice@two.test")
    service.wait(lambda: bool(service.log("deferred")))
    first.replies.clear()
    first.wait(lambda: len(first.messages) == 1)


def test_a_long_queue_begins_with_few_connections_after_a_restart(
    service: Any, make_sink: Callable[..., Any]
) -> None:
    sink = make_sink()
    service.settings["domain"][0]["route"]["port"] = sink.port
    service.settings["retry"] = {"first": 60, "longest": 60, "lifetime": 600}
    service.settings["delivery"] = {"per_destination": 50}
    sink.replies["LHLO"] = "421 4.3.2 not now"
    service.start()
    send(service, 60)
    service.wait(lambda: bool(service.log("destination left alone")))
    service.stop()
    sink.replies.clear()
    sink.hang, sink.connections = True, 0
    service.start()
    service.wait(lambda: service.mxd("queue", "retry", "--all").returncode == 0)
    sink.wait(lambda: sink.connections == BEGIN)
    assert sink.connections == BEGIN  # as many as to a host that nothing is known of; more when it answers
    service.stop(service.KILL)


def test_after_a_crash_only_what_was_sent_up_to_the_final_dot_may_arrive_twice(
    service: Any, make_sink: Callable[..., Any]
) -> None:
    silent, hanging = make_sink(), make_sink()
    silent.mute = hanging.hang = True
    route = service.settings["domain"][0]["route"]
    other = {"name": "shop.test", "recipients": ["bob"], "route": {**route, "port": hanging.port}}
    service.settings["domain"].append(other)
    route["port"] = silent.port
    service.start()
    send(service, 1)
    send(service, 1, "bob@shop.test")
    silent.wait(lambda: len(silent.messages) == 1)
    hanging.wait(lambda: hanging.connections == 1)
    service.stop(service.KILL)
    service.start()
    told = {line["domain"]: line.get("doubtful", False) for line in service.log("interrupted")}
    assert told == {"corp.test": True, "shop.test": False}
    assert "mxd_doubtful_total 1.0" in service.get("/metrics", decode=False)[1]
    service.stop(service.KILL)
