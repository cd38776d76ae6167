"""TLS by policy against real handshakes: what each rule does with a good, a wrong and no certificate."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
)
from msgspec.structs import replace

from mxfleet.lab import authority
from mxfleet.lab.difficult_peers import Host, Peer
from mxfleet.mail.mta_sts_policy import Policy
from mxfleet.mail.questions import (
    Answer,
    Exchange,
    NoData,
    Question,
    Questions,
    Response,
    TempError,
    Tlsa,
    Verdict,
)
from mxfleet.mxd.dialogue import Attempt
from mxfleet.mxd.route import Hop
from mxfleet.mxd.security import Security
from mxfleet.mxd.sending_settings import DestinationSettings, SendingSettings
from tests.unit.mxd.conftest import write_certificate
from tests.unit.mxd.test_deliver import FakeDns, build, lease, said

NAME = "mx.peer.test"


class Authority:
    """The lab's, with a certificate for a name at hand, and the files that peers need."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.now = datetime.now(UTC)
        self.key = authority.new_key()
        self.root = authority.root_certificate(self.key, self.now)
        self.trust = directory / "authority.pem"
        self.trust.write_text(self.root)

    def issue(self, name: str, now: datetime | None = None) -> tuple[str, str, str]:
        """Chain and key as files, and the key's PEM."""
        key = authority.new_key()
        chain = authority.certificate(name, key, self.root, self.key, now or self.now)
        files = (self.directory / f"{name}-{id(key)}.pem", self.directory / f"{name}-{id(key)}.key")
        files[0].write_text(chain)
        files[1].write_text(key)
        return str(files[0]), str(files[1]), key


class FakeResolver:
    """Answers what it was told; everything else is there, unsigned, without such records."""

    def __init__(self, answers: Mapping[tuple[str, str], Response]) -> None:
        self._answers = answers
        self.asked: list[Question] = []

    async def ask(self, question: Question) -> Response:
        self.asked.append(question)
        return self._answers.get((question.name, question.type), NoData())

    async def run(self, check: Questions[Verdict], until: float) -> Verdict:
        try:
            question = next(check)
            while True:
                question = check.send(await self.ask(question))
        except StopIteration as end:
            verdict: Verdict = end.value
            return verdict


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def peer() -> Iterator[Callable[..., Peer]]:
    made: list[Peer] = []

    def make(certificate: tuple[str, str, str] = ("", "", ""), behaviour: str = "") -> Peer:
        chain, key, _ = certificate
        made.append(Peer(Host(NAME, "127.0.0.2", behaviour, chain, key, port=0)))
        return made[-1]

    yield make
    for each in made:
        each.shutdown()
        each.server_close()


class Sender:
    """One node: the zone that it sees, the policy that it found, what its operator says."""

    def __init__(self, ca: Authority) -> None:
        self.ca = ca
        self.zone: dict[tuple[str, str], Response] = {}
        self.policy: Policy | None = None
        self.destinations: list[DestinationSettings] = []
        self.resolver = FakeResolver(self.zone)

    def sign(self, tlsa: Response) -> None:
        self.zone[("peer.test", "MX")] = Answer((Exchange(10, NAME),), authenticated=True)
        self.zone[(NAME, "A")] = Answer((IPv4Address("127.0.0.2"),), authenticated=True)
        self.zone[(f"_{self.port}._tcp.{NAME}", "TLSA")] = tlsa

    port = 0

    async def send(self, peer: Peer, *before: str) -> Attempt:
        """A message for peer.test, `before` it one by each of these hops."""
        self.port = peer.server_address[1]
        if ("_pinned", "TLSA") in self.zone:
            self.sign(self.zone[("_pinned", "TLSA")])

        async def policy(_: str) -> Policy | None:
            return self.policy

        sending = SendingSettings(trust=str(self.ca.trust))
        security = Security(sending, self.destinations, self.resolver, policy)  # type: ignore[arg-type]
        deliverer = build(FakeDns([NAME], mx_peer_test=["127.0.0.2"]), self.port, security=security)
        try:
            for hop in before:
                assert said(await deliverer.attempt([replace(lease(), hop=hop)]))[0][0] == "delivered"
            return await deliverer.attempt([lease()])
        finally:
            await deliverer.close()

    def pin(self, response: Response) -> None:
        self.zone[("_pinned", "TLSA")] = response


@pytest.fixture
def sender(ca: Authority) -> Sender:
    return Sender(ca)


def ee(certificate: tuple[str, str, str]) -> Answer:
    """3 1 1 of a certificate."""
    loaded = x509.load_pem_x509_certificate(Path(certificate[0]).read_bytes())
    public = loaded.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return Answer((Tlsa(3, 1, 1, sha256(public).digest()),), authenticated=True)


def enforce(*mx: str, mode: str = "enforce") -> Policy:
    return Policy(mode, 86_400, mx or (NAME,))  # type: ignore[arg-type]


def words(attempt: Attempt) -> str:
    return str(attempt.answers[0].reply)


async def test_dane_delivers_to_the_published_key_whoever_signed_it(
    sender: Sender, peer: Callable[..., Peer], ca: Authority
) -> None:
    certificate = ca.issue("whatever.test", ca.now - timedelta(days=2000))  # neither name nor dates count
    sender.pin(ee(certificate))
    attempt = await sender.send(peer(certificate))
    assert said(attempt)[0][0] == "delivered"
    assert (attempt.tls, attempt.policy, attempt.verified) == ("TLSv1.3", "DANE", f"TLSA 3 1 1 of {NAME}")
    assert attempt.cipher.startswith("TLS_")


async def test_dane_refuses_another_key_even_of_a_trusted_authority(
    sender: Sender, peer: Callable[..., Peer], ca: Authority
) -> None:
    sender.pin(ee(ca.issue(NAME)))
    other = peer(ca.issue(NAME))
    attempt = await sender.send(other)
    assert (attempt.decided, said(attempt)[0][0]) == (False, "deferred")
    assert words(attempt) == (
        "450 4.7.5 DANE requires its certificate to be the published one, and mx.peer.test does not have it: "
        "no record matches the host's certificate (1 TLSA records of mx.peer.test)"
    )
    assert other.host.taken.total() == 0


@pytest.mark.parametrize(
    ("behaviour", "said_of_it"),
    [
        ("bare", "450 4.7.4 DANE requires TLS, and mx.peer.test does not offer it (no STARTTLS)"),
        ("garbled", "450 4.7.5 DANE requires its certificate to be the published one, and mx.peer.test"),
    ],
)
async def test_under_dane_nothing_goes_in_the_clear(
    sender: Sender, peer: Callable[..., Peer], ca: Authority, behaviour: str, said_of_it: str
) -> None:
    sender.pin(ee(ca.issue(NAME)))
    made = peer(behaviour=behaviour)
    attempt = await sender.send(made)
    assert words(attempt).startswith(said_of_it)
    assert made.host.taken.total() == 0


async def test_no_answer_about_tlsa_is_no_permission(sender: Sender, peer: Callable[..., Peer]) -> None:
    sender.pin(TempError("the server failed"))
    made = peer()
    attempt = await sender.send(made)
    assert words(attempt).startswith(
        "451 4.4.3 Nobody knows for now whether mx.peer.test requires TLS (DANE)"
    )
    assert attempt.policy == "DANE"
    assert made.host.taken.total() == 0


async def test_records_of_which_none_is_usable_still_require_encryption(
    sender: Sender, peer: Callable[..., Peer], ca: Authority
) -> None:
    sender.pin(Answer((Tlsa(1, 1, 1, bytes(32)),), authenticated=True))
    assert said(await sender.send(peer(ca.issue("other.test"))))[0][0] == "delivered"
    assert words(await sender.send(peer(behaviour="bare"))).startswith("450 4.7.4 DANE requires TLS")


async def test_unsigned_tlsa_records_count_for_nothing(
    sender: Sender, peer: Callable[..., Peer], ca: Authority
) -> None:
    sender.pin(Answer((Tlsa(3, 1, 1, bytes(32)),), authenticated=False))
    attempt = await sender.send(peer(ca.issue("other.test")))
    assert (said(attempt)[0][0], attempt.policy, attempt.verified) == ("delivered", "", "")


async def test_mta_sts_wants_a_trusted_authority_and_the_host_s_name(
    sender: Sender, peer: Callable[..., Peer], ca: Authority
) -> None:
    sender.policy = enforce()
    attempt = await sender.send(peer(ca.issue(NAME)))
    assert said(attempt)[0][0] == "delivered"
    assert (attempt.policy, attempt.verified) == ("MTA-STS enforce", f"a trusted authority, for {NAME}")


@pytest.mark.parametrize(
    ("name", "days", "reason"),
    [
        ("other.test", 0, "Hostname mismatch, certificate is not valid for 'mx.peer.test'"),
        (NAME, 2000, "certificate has expired"),
        ("self", 0, "self-signed certificate"),
    ],
)
async def test_mta_sts_enforce_keeps_mail_from_a_wrong_certificate(
    sender: Sender,
    peer: Callable[..., Peer],
    ca: Authority,
    tmp_path: Path,
    name: str,
    days: int,
    reason: str,
) -> None:
    sender.policy = enforce()
    if name == "self":
        chain, key = write_certificate(tmp_path, NAME)
        made = peer((str(chain), str(key), ""))
    else:
        made = peer(ca.issue(name, ca.now - timedelta(days=days)))
    attempt = await sender.send(made)
    assert words(attempt) == (
        "450 4.7.5 MTA-STS enforce requires a certificate for mx.peer.test of a trusted authority, "
        f"and mx.peer.test does not have it: its certificate is not believed: {reason}"
    )
    assert made.host.taken.total() == 0


async def test_mta_sts_testing_delivers_what_enforce_would_not(
    sender: Sender, peer: Callable[..., Peer], ca: Authority, capfdbinary: Any
) -> None:
    sender.policy = enforce(mode="testing")
    attempt = await sender.send(peer(ca.issue("other.test")))
    assert (said(attempt)[0][0], attempt.tls) == ("delivered", "TLSv1.3")
    assert said(await sender.send(peer(behaviour="bare")))[0][0] == "delivered"
    sender.policy = enforce("another.test", mode="testing")
    assert said(await sender.send(peer(ca.issue(NAME))))[0][0] == "delivered"
    log = capfdbinary.readouterr().err.decode()
    assert log.count('"would be refused"') == 3
    assert "Hostname mismatch" in log
    assert "it offers no TLS" in log
    assert "none of the hosts in the domain's policy: another.test" in log


async def test_a_host_outside_the_policy_is_not_spoken_to(
    sender: Sender, peer: Callable[..., Peer], ca: Authority
) -> None:
    sender.policy = enforce("another.test")
    attempt = await sender.send(peer(ca.issue(NAME)))
    assert words(attempt).startswith(
        "450 4.7.5 MTA-STS: mx.peer.test is none of the hosts in the domain's policy"
    )


async def test_mail_that_was_sent_to_a_host_by_hand_lifts_no_policy_of_it(
    sender: Sender, peer: Callable[..., Peer], ca: Authority
) -> None:
    sender.policy = enforce()
    made = peer(ca.issue("other.test"))
    attempt = await sender.send(made, f"{NAME}:{made.server_address[1]}")
    assert words(attempt).startswith("450 4.7.5 MTA-STS enforce requires a certificate")
    assert made.host.taken.total() == 1


@pytest.mark.parametrize("behaviour", ["", "garbled", "bare"])
async def test_without_any_policy_mail_goes_as_it_can(
    sender: Sender, peer: Callable[..., Peer], ca: Authority, behaviour: str
) -> None:
    certificate = ("", "", "") if behaviour else ca.issue("other.test")
    attempt = await sender.send(peer(certificate, behaviour))
    assert (said(attempt)[0][0], attempt.verified) == ("delivered", "")
    assert attempt.tls == ("" if behaviour else "TLSv1.3")


async def test_the_operator_s_word_for_a_domain_outweighs_what_it_publishes(
    sender: Sender, peer: Callable[..., Peer], ca: Authority
) -> None:
    sender.pin(ee(ca.issue(NAME)))
    sender.destinations = [DestinationSettings(name="peer.test", tls="none")]
    assert (await sender.send(peer(ca.issue(NAME)))).tls == ""
    sender.destinations = [DestinationSettings(name="*.test", tls="verify")]
    attempt = await sender.send(peer(ca.issue(NAME)))
    assert (attempt.policy, attempt.tls) == ("the fleet's setting", "TLSv1.3")
    assert words(await sender.send(peer(ca.issue("x.test")))).startswith(
        "450 4.7.5 the fleet's setting requires"
    )


async def test_dane_or_nothing_where_the_operator_says_so(
    sender: Sender, peer: Callable[..., Peer], ca: Authority
) -> None:
    sender.destinations = [DestinationSettings(name="peer.test", tls="dane")]
    attempt = await sender.send(peer(ca.issue(NAME)))
    assert words(attempt) == (
        "450 4.7.5 DANE is required for mx.peer.test by the fleet's setting, and there is none: "
        "the MX records are not signed"
    )


async def test_domains_with_rules_of_their_own_go_apart(sender: Sender) -> None:
    sender.zone[("signed.test", "MX")] = Answer((Exchange(10, NAME),), authenticated=True)
    policies = {"sts.test": enforce(), "none.test": enforce(mode="none")}

    async def policy(domain: str) -> Policy | None:
        return policies.get(domain)

    destinations = [DestinationSettings(name="wish.test", tls="encrypt")]
    security = Security(SendingSettings(), destinations, sender.resolver, policy)  # type: ignore[arg-type]
    names = ("plain.test", "none.test", "signed.test", "sts.test", "wish.test", "[192.0.2.1]")
    marks = [await security.mark(name) for name in names]
    assert marks == ["", "", " (signed)", " for sts.test", " for wish.test", ""]


async def test_nothing_is_asked_where_it_is_switched_off(sender: Sender) -> None:
    async def policy(domain: str) -> Policy | None:
        raise AssertionError(domain)

    security = Security(SendingSettings(dane=False, mta_sts=False), (), sender.resolver, policy)  # type: ignore[arg-type]
    assert await security.mark("peer.test") == ""
    assert sender.resolver.asked == []


async def test_a_wish_for_all_below_a_name_yields_to_a_closer_one(sender: Sender) -> None:
    wishes = {"*.test": "none", "*.peer.test": "encrypt", "a.peer.test": "opportunistic"}
    destinations = [DestinationSettings(name=name, tls=tls) for name, tls in wishes.items()]  # type: ignore[arg-type]
    security = Security(SendingSettings(), destinations, sender.resolver)  # type: ignore[arg-type]
    for name, found in (
        ("a.peer.test", "a.peer.test"),
        ("b.peer.test", "*.peer.test"),
        ("peer.test", "*.test"),
    ):
        for configured in (False, True):  # for a recipient domain, and for a next hop by its host's name
            domain, host = ("x.org", name) if configured else (name, "x.org")
            rule = await security.rule([domain], Hop(host, 25), configured=configured)
            assert (rule.level, rule.policy) == (wishes[found], "the fleet's setting")
    assert (await security.rule(["test"], Hop("x.org", 25), configured=False)).policy == ""


async def test_a_destination_that_only_limits_leaves_tls_as_it_is(
    sender: Sender,
) -> None:
    async def policy(_: str) -> Policy | None:
        return enforce()

    slow = DestinationSettings(name="peer.test", per_minute=10)
    security = Security(SendingSettings(), [slow], sender.resolver, policy)  # type: ignore[arg-type]
    assert (await security.rule(["peer.test"], Hop(NAME, 25), configured=False)).level == "verify"
    hidden = [
        DestinationSettings(name="*.peer.test", tls="encrypt"),
        DestinationSettings(name="relay.peer.test", connections=2),
    ]
    relay = Hop("relay.peer.test", 25, tls="required")
    for destinations in ([slow], hidden):
        security = Security(SendingSettings(), destinations, sender.resolver, policy)  # type: ignore[arg-type]
        assert (await security.rule((), relay, configured=True)).level == "encrypt"
