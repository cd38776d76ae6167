"""A probe against hosts of every kind, on loopback: what it writes down and what it never sends."""

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path

import msgspec
import pytest

from mxfleet.errors import ServiceError
from mxfleet.lab.difficult_peers import Host, Peer
from mxfleet.mail.questions import Answer, Exchange, Response
from mxfleet.mxd import policies, probe_capture, settings
from mxfleet.mxd.probe import Probe, Way, Wish
from mxfleet.mxd.probe_command import checked, host_and_port
from mxfleet.mxd.probe_report import Report, Tried
from tests.unit.mxd.test_sending_tls import Authority, FakeResolver, ee

NAME = "mx.peer.test"


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("probe"))


@pytest.fixture
def peer() -> Iterator[Callable[..., Peer]]:
    made: list[Peer] = []

    def make(certificate: tuple[str, str, str] = ("", "", ""), behaviour: str = "", name: str = NAME) -> Peer:
        made.append(Peer(Host(name, "127.0.0.2", behaviour, certificate[0], certificate[1], port=0)))
        return made[-1]

    yield make
    for each in made:
        each.shutdown()
        each.server_close()


class Resolver(FakeResolver):
    async def close(self) -> None:
        """As the real one."""


async def look(
    ca: Authority,
    peer: Peer,
    way: Way = "starttls",
    to: str = "",
    tlsa: Response | None = None,
    host: str = NAME,
    zone: Mapping[tuple[str, str], Response] | None = None,
) -> Report:
    port = peer.server_address[1]
    names: dict[tuple[str, str], Response] = {
        (NAME, "A"): Answer((IPv4Address("127.0.0.2"),), authenticated=True),
        ("peer.test", "MX"): Answer((Exchange(10, NAME),), authenticated=True),
        **(zone or {}),
    }
    if tlsa is not None:
        names[(f"_{port}._tcp.{NAME}", "TLSA")] = tlsa
    made = settings.parse(
        f"""
        [node]
        name = "mx1"
        hostname = "mx1.corp.test"
        release = ""
        address4 = "127.0.0.1"
        [service]
        hostname = "mx.corp.test"
        [sending]
        trust = "{ca.trust}"
        [paths]
        spool = "{ca.directory}/spool.sqlite"
        [delivery]
        port = {port}
        resolver = "127.0.0.1"
        [[domain]]
        name = "corp.test"
        recipients = []
        route = {{ kind = "lmtp", host = "127.0.0.1", port = 24 }}
        """
    )
    probe = Probe(made, Wish(host, 0 if host != NAME or way != "tls" else port, way, to))
    resolver = Resolver(names)
    probe._resolver = resolver  # type: ignore[assignment]
    probe._security._resolver = resolver  # type: ignore[assignment]
    return await probe.run()


@pytest.fixture
def kept(ca: Authority) -> Iterator[Path]:
    """The file of the service's policies."""
    path = policies.place(f"{ca.directory}/spool.sqlite")
    yield path
    path.unlink()


def keep(path: Path, fetched: float) -> None:
    row = policies.Row("peer.test", "7", fetched, "enforce", 604_800, ("other.test", NAME))
    path.write_bytes(msgspec.json.encode([row]))


def spoil(path: Path) -> None:
    path.write_text("{nonsense")


def said(report: Report, side: str) -> list[str]:
    return [line.text for line in report.lines if line.side == side]


async def test_a_good_host_is_spoken_with_as_the_exchange_would(
    ca: Authority, peer: Callable[..., Peer]
) -> None:
    report = await look(ca, peer(ca.issue(NAME)), to="carol@peer.test")
    assert said(report, "us") == [
        "EHLO mx1.corp.test", "STARTTLS", "EHLO mx1.corp.test", "MAIL FROM:<>", "RCPT TO:<carol@peer.test>", "QUIT",
    ]  # fmt: skip
    assert report.tls is not None
    assert (report.tls.version, report.tls.authority, report.tls.dane) == ("TLSv1.3", "", None)
    assert (report.code, report.stage, report.greeted_as) == (250, "rcpt", NAME)
    assert "STARTTLS" not in report.offered
    times = [line.at for line in report.lines]
    assert times == sorted(times)


async def test_a_certificate_that_is_not_believed_is_looked_at_all_the_same(
    ca: Authority, peer: Callable[..., Peer]
) -> None:
    report = await look(ca, peer(ca.issue("other.test")))
    assert report.tls is not None
    assert report.tls.names == ("other.test",)
    assert "Hostname mismatch" in report.tls.authority
    assert len(report.tried) == 2


async def test_dane_is_judged(ca: Authority, peer: Callable[..., Peer]) -> None:
    published, other = ca.issue(NAME), ca.issue(NAME)
    good = await look(ca, peer(published), tlsa=ee(published), to="carol@peer.test")
    assert good.tls is not None
    assert (good.rule, good.tls.dane) == ("DANE", "")
    bad = await look(ca, peer(other), tlsa=ee(published), to="carol@peer.test")
    assert bad.tls is not None
    assert bad.tls.dane == "no record matches the host's certificate"


RECORD = {("_mta-sts.peer.test", "TXT"): Answer((b"v=STSv1; id=7",))}


@pytest.mark.parametrize(
    ("zone", "problem"),
    [(RECORD, ""), ({}, "; now: no MTA-STS record")],
)
async def test_the_policy_that_the_service_keeps_is_the_one_that_applies(
    ca: Authority,
    peer: Callable[..., Peer],
    kept: Path,
    zone: dict[tuple[str, str], Response],
    problem: str,
) -> None:
    fetched = int(time.time()) - 1000
    keep(kept, fetched)
    before = policies.kept(kept)
    report = await look(ca, peer(ca.issue(NAME)), to="carol@peer.test", zone=zone)
    until = datetime.fromtimestamp(fetched + 604_800, UTC)
    assert report.rule == "MTA-STS enforce"
    assert report.mta_sts == (
        f"enforce, for other.test, {NAME}, until {until:%Y-%m-%d %H:%M} UTC (kept by the service{problem})"
    )
    assert policies.kept(kept) == before


async def test_a_policy_that_has_ended_or_cannot_be_read_is_none(
    ca: Authority, peer: Callable[..., Peer], kept: Path
) -> None:
    keep(kept, time.time() - 604_801)
    report = await look(ca, peer(), to="carol@peer.test")
    assert (report.mta_sts, report.rule) == ("", "")
    spoil(kept)
    report = await look(ca, peer(), to="carol@peer.test")
    assert (report.mta_sts, report.rule) == ("", "")
    assert said(report, "note")[0].startswith("the service's kept MTA-STS policies cannot be read: ")


async def test_a_mail_domain_stands_for_its_best_host(ca: Authority, peer: Callable[..., Peer]) -> None:
    report = await look(ca, peer(), host="peer.test")
    assert (report.host, report.domain) == (NAME, "peer.test")
    assert said(report, "note")[0] == "peer.test is a mail domain: its best host is mx.peer.test"


@pytest.mark.parametrize(
    ("behaviour", "stage", "code", "word"),
    [("busy", "rcpt", 451, "451 4.3.2"), ("firm", "rcpt", 550, "550 5.7.1"), ("garbled", "handshake", 220, "TLS handshake failed")],
)  # fmt: skip
async def test_it_goes_as_far_as_it_is_let(
    ca: Authority, peer: Callable[..., Peer], behaviour: str, stage: str, code: int, word: str
) -> None:
    report = await look(ca, peer(behaviour=behaviour), to="carol@peer.test")
    assert (report.stage, report.code) == (stage, code)
    assert any(word in line.text for line in report.lines)


async def test_a_closed_port_is_refused(ca: Authority, peer: Callable[..., Peer]) -> None:
    gone = peer()
    gone.shutdown()
    gone.server_close()
    report = await look(ca, gone)
    assert [tried.port for tried in report.tried] == ["refused"]
    assert report.lines == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("mx.b.test", ("mx.b.test", 0)), ("mx.b.test:587", ("mx.b.test", 587)), ("192.0.2.1:25", ("192.0.2.1", 25)),
        ("2001:db8::1", ("2001:db8::1", 0)), ("[2001:db8::1]:25", ("2001:db8::1", 25)),
    ],
)  # fmt: skip
def test_host_and_port_are_read(text: str, found: tuple[str, int]) -> None:
    assert host_and_port(text) == found


@pytest.mark.parametrize(
    "text", ["", ":25", "mx.b.test:", "mx.b.test:x", "mx.b.test:70000", "mx.b.test:99999999"]
)
def test_what_is_no_host_is_said(text: str) -> None:
    with pytest.raises(ServiceError, match="not a host, or a host and a port"):
        host_and_port(text)


def test_a_recipient_cannot_bring_a_second_command() -> None:
    from mxfleet.errors import AddressError

    assert checked("carol@peer.test") == "carol@peer.test"
    with pytest.raises(AddressError):
        checked("carol@peer.test>\r\nDATA")


def test_only_the_probe_s_own_packets_are_kept() -> None:
    report = Report(host=NAME, port=25, node="mx1")
    report.tried = [
        Tried("192.0.2.9", "open", 0.1, "192.0.2.1:40001"),
        Tried("2001:db8::9", "refused", 0.1, "[2001:db8::1]:40000"),
        Tried("192.0.2.9", "unreachable", 0.1, ""),
    ]
    assert probe_capture.own_ports(report) == [40000, 40001]
