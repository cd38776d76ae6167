"""MTA-STS (RFC 8461): a domain's policy for the hosts that take its mail, found by DNS and HTTPS, kept for long.

    check = discover("peer.test", cached, now)     # yields Question and Fetch; is sent Response, Fetched or FetchFailed

The driver fetches over HTTPS with a certificate that is valid for the host's name, follows no redirection, reads no
more than MAX_BODY, and waits no longer than a minute (§3.3).
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from mxfleet.errors import MailError
from mxfleet.mail.mta_sts_policy import Policy, parse_policy, parse_record
from mxfleet.mail.questions import Answer, Question, Response, TempError

MAX_BODY: Final = 65_536  # octets (RFC 8461 §3.3)

FailureType: TypeAlias = Literal["", "sts-policy-fetch-error", "sts-policy-invalid", "sts-webpki-invalid"]
"""What a TLS report calls it (RFC 8460 §4.3.2)."""


@dataclass(frozen=True, slots=True)
class Fetch:
    """Ask the web: `https://<host>/.well-known/mta-sts.txt`."""

    host: str
    path: str = "/.well-known/mta-sts.txt"


@dataclass(frozen=True, slots=True)
class Fetched:
    """There was an answer; `content_type` is the field as it came, with its parameters."""

    status: int
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class FetchFailed:
    """There was none; `certificate` says that it was for the host's certificate."""

    reason: str
    certificate: bool = False


Asked: TypeAlias = Question | Fetch
Told: TypeAlias = Response | Fetched | FetchFailed


@dataclass(frozen=True, slots=True)
class Cached:
    """A policy with the id of its record; seconds since the epoch."""

    policy: Policy
    id: str
    fetched: float

    def is_valid(self, now: float) -> bool:
        """Whether it still holds (RFC 8461 §3.2, max_age)."""
        return self.fetched <= now < self.fetched + self.policy.max_age


@dataclass(frozen=True, slots=True)
class Discovery:
    """What holds now: a policy, or None; where something went wrong what, though an older policy may hold still.

    `fetched` says that the policy is new and must be kept.
    """

    cached: Cached | None
    fetched: bool = False
    problem: str = ""
    failure: FailureType = ""


Check: TypeAlias = Generator[Asked, Told, Discovery]


class _Unavailable(MailError):
    """No policy could be had just now."""

    def __init__(self, problem: str, failure: FailureType) -> None:
        super().__init__(problem)
        self.failure: FailureType = failure


def drive(check: Check, tell: Callable[[Asked], Told]) -> Discovery:
    """What a check comes to whose questions `tell` answers at once."""
    try:
        asked = next(check)
        while True:
            asked = check.send(tell(asked))
    except StopIteration as end:
        found: Discovery = end.value
        return found


def discover(domain: str, cached: Cached | None, now: float) -> Check:
    """The policy of a domain (canonical name), with what was kept of it last time.

    RFC 8461 §3.1, §5.1: whatever goes wrong, a policy that was kept and is still valid holds; without one the
    domain has none.
    """
    kept = cached if cached is not None and cached.is_valid(now) else None
    response = yield Question(f"_mta-sts.{domain}", "TXT")
    if isinstance(response, TempError):
        return Discovery(kept, problem=f"_mta-sts.{domain}: {response.reason}")
    texts = response.records if isinstance(response, Answer) else ()
    record = parse_record([text for text in texts if isinstance(text, bytes)])
    if isinstance(record, str):
        return Discovery(kept, problem=record)
    if kept is not None and kept.id == record.id:
        return Discovery(kept)
    try:
        policy = yield from _fetch(domain)
    except _Unavailable as error:
        return Discovery(kept, problem=error.message, failure=error.failure)
    return Discovery(Cached(policy, record.id, now), fetched=True)


def refresh(domain: str, cached: Cached, now: float) -> Check:
    """The policy anew before it ends, whatever its record says (RFC 8461 §10.2 advises once a day)."""
    discovered = yield from discover(domain, Cached(cached.policy, "", cached.fetched), now)
    kept = discovered.cached if discovered.fetched else (cached if cached.is_valid(now) else None)
    return Discovery(kept, discovered.fetched, discovered.problem, discovered.failure)


def _fetch(domain: str) -> Generator[Asked, Told, Policy]:
    """RFC 8461 §3.3."""
    host = f"mta-sts.{domain}"
    told = yield Fetch(host)
    if isinstance(told, FetchFailed):
        failure: FailureType = "sts-webpki-invalid" if told.certificate else "sts-policy-fetch-error"
        raise _Unavailable(f"{host}: {told.reason}", failure)
    if not isinstance(told, Fetched):
        raise _Unavailable(f"{host}: no answer", "sts-policy-fetch-error")
    if told.status != 200:  # redirections must not be followed either
        raise _Unavailable(f"{host} answered {told.status}", "sts-policy-fetch-error")
    if told.content_type.partition(";")[0].strip().lower() != "text/plain":
        raise _Unavailable(
            f"{host} sent {told.content_type[:40]!r} instead of text/plain", "sts-policy-invalid"
        )
    if len(told.body) > MAX_BODY:
        raise _Unavailable(f"{host} sent more than {MAX_BODY} octets", "sts-policy-invalid")
    policy = parse_policy(told.body)
    if isinstance(policy, str):
        raise _Unavailable(f"{host}: {policy}", "sts-policy-invalid")
    return policy
