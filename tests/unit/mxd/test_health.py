"""What peers, Prometheus and the operator are told."""

import asyncio
import json
import re
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from mxfleet.errors import SpoolError
from mxfleet.mxd import health, settings
from mxfleet.mxd.counters import COUNTERS, Shared
from mxfleet.mxd.desk import Desk
from mxfleet.mxd.exposition import exposition
from mxfleet.mxd.health import Health
from mxfleet.mxd.observe import logger


class ProbeSpool:
    """Probes as a test says; counts them."""

    def __init__(self, probe: Callable[[], Awaitable[None]]) -> None:
        self._probe = probe
        self.probes = 0

    async def probe(self, _: float) -> None:
        self.probes += 1
        await self._probe()

    async def waiting(self) -> int:
        return 3


class Settled:
    """As much of a configuration as health looks at."""

    digest = "abc"
    settings = settings.Settings(
        node=settings.NodeSettings(name="mx1", hostname="mx1.corp.test", release="", address4="127.0.0.1"),
        service=settings.ServiceSettings(hostname="mx.corp.test", peers=("10.77.0.12", "fd77:0077::12")),
        domain=(),
    )


def checked(spool: ProbeSpool, clock: Callable[[], float] = lambda: 100.0) -> Health:
    desk = Desk(Settled(), spool, 1, Shared(1).row(0), logger("test"))  # type: ignore[arg-type]
    return Health(desk, Shared(1), clock)


async def works() -> None:
    return None


async def fails() -> None:
    raise SpoolError("disk on fire")


async def hangs() -> None:
    await asyncio.sleep(60)


async def test_one_commit_speaks_for_a_second() -> None:
    now = [100.0]
    spool = ProbeSpool(works)
    here = checked(spool, lambda: now[0])
    assert [await here.commits() for _ in range(3)] == [True, True, True]
    assert spool.probes == 1
    now[0] = 101.5
    assert await here.commits()
    assert spool.probes == 2


async def test_a_spool_that_fails_is_said_to_fail() -> None:
    status, _, body = await checked(ProbeSpool(fails)).answer("GET", "/healthz")
    assert status == 503
    assert json.loads(body) == {"commits": False, "node": "mx1", "queue": 3, "digest": "abc"}


async def test_a_spool_that_hangs_is_given_a_second_and_one_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "PATIENCE", 0.05)
    spool = ProbeSpool(hangs)
    here = checked(spool)
    assert [await here.commits() for _ in range(3)] == [False, False, False]
    assert spool.probes == 1


def test_only_this_host_and_its_peers_may_ask() -> None:
    here = checked(ProbeSpool(works))
    for address in ("127.0.0.1", "::1", "10.77.0.12", "fd77:77::12"):
        assert here.allows(address)
    for address in ("10.77.0.100", "fd77:77::13", ""):
        assert not here.allows(address)


def test_counters_of_all_processes_add_up_and_survive_a_restart() -> None:
    shared = Shared(2)
    one, two = shared.row(0), shared.row(1)
    one.add("connections", 2)
    two.add("connections", 3)
    two.add("sessions", 3)
    again = shared.row(1)
    again.add("connections")
    assert shared.total("connections") == 6
    assert shared.total("sessions") == 0
    with pytest.raises(KeyError):
        one.add("conections")


def test_every_counter_is_exposed_with_its_help() -> None:
    text = exposition(Shared(1), {"queue_deliveries": ("Deliveries that wait", 7.0)}).decode()
    for name, words in COUNTERS.items():
        assert f"# HELP mxd_{name}_total {words}\n" in text
        assert f"\nmxd_{name}_total 0.0\n" in text
    assert "\nmxd_queue_deliveries 7.0\n" in text


def test_nonsense_on_the_health_socket_gets_a_word_or_nothing(running: Any) -> None:
    for request, answer in (
        (b"EHLO x\r\n\r\n", b"HTTP/1.1 400 "),
        (b"POST /healthz HTTP/1.1\r\n\r\n", b"HTTP/1.1 405 "),
        (b"x" * 5000, b""),
    ):
        with socket.create_connection(("127.0.0.1", running.ports["health"]), timeout=5) as client:
            client.sendall(request)
            assert client.recv(100).startswith(answer)


def test_the_operator_s_socket_answers_and_refuses_in_json(running: Any) -> None:
    path = running.directory / "run" / "admin.sock"
    assert path.stat().st_mode & 0o777 == 0o660
    with socket.socket(socket.AF_UNIX) as client, client.makefile("rwb") as lines:
        client.connect(str(path))
        for request, expected in (
            (b'{"verb":"stats"}', "connections"),
            (b'{"verb":"health"}', "commits"),
            (b'{"verb":"retry","selection":{"domain":"nowhere.test"}}', "changed"),
            (b'{"verb":"list","limit":1}', ""),
            (b'{"verb":"explode"}', "error"),
            (b'{"word":"list"}', "error"),
            (b"nonsense", "error"),
        ):
            lines.write(request + b"\n")
            lines.flush()
            answer = json.loads(lines.readline())
            assert answer == [] if not expected else expected in answer


def test_a_log_line_is_json_and_tells_no_secret() -> None:
    script = (
        "from mxfleet.mxd.observe import logger\n"
        "log = logger('p')\n"
        "log.info('x', trace='t1', password='hunter2', text='a\\nb')\n"
        "try:\n    raise ValueError('bad')\n"
        "except ValueError as error:\n    log.error('y', exception=error)\n"
        "log.bind(client='192.0.2.1').warning('z', exception=None)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    first, second, third = (json.loads(line) for line in done.stderr.splitlines())
    assert (first["event"], first["trace"], first["password"]) == ("x", "t1", "(hidden)")
    assert second["error"] == "ValueError: bad"
    assert second["where"].startswith("<string>:5")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", third.pop("time"))
    assert third == {"process": "p", "client": "192.0.2.1", "event": "z", "level": "warning"}
