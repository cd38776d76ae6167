"""MTA-STS (RFC 8461): records, policies, and what holds when something goes wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxfleet.mail.mta_sts import (
    MAX_BODY,
    Asked,
    Cached,
    Discovery,
    Fetch,
    Fetched,
    FetchFailed,
    Told,
    discover,
    drive,
    refresh,
)
from mxfleet.mail.mta_sts_policy import Policy, Record, parse_policy, parse_record
from mxfleet.mail.questions import Answer, NoData, NxDomain, Question, TempError

NOW = 1_795_500_000.0
FILE = b"version: STSv1\r\nmode: enforce\r\nmx: mx.peer.test\r\nmx: *.Backup.test\r\nmax_age: 86400\r\n"
POLICY = Policy("enforce", 86_400, ("mx.peer.test", "*.backup.test"))
OLD = Policy("enforce", 86_400, ("old.peer.test",))
RECORD = Answer((b"v=STSv1; id=20261124T1;",))


def find(
    record: Told = RECORD,
    policy: Told = Fetched(200, "text/plain; charset=utf-8", FILE),  # noqa: B008 - a frozen value
    cached: Cached | None = None,
    now: float = NOW,
) -> tuple[Discovery, list[Asked]]:
    asked: list[Asked] = []

    def tell(question: Asked) -> Told:
        asked.append(question)
        return policy if isinstance(question, Fetch) else record

    return drive(discover("peer.test", cached, now), tell), asked


def test_a_policy_is_found_by_its_record_and_fetched() -> None:
    found, asked = find()
    assert found == Discovery(Cached(POLICY, "20261124T1", NOW), fetched=True)
    assert asked == [
        Question("_mta-sts.peer.test", "TXT"),
        Fetch("mta-sts.peer.test", "/.well-known/mta-sts.txt"),
    ]


def test_a_policy_with_the_same_id_is_not_fetched_again_until_it_ends() -> None:
    kept = Cached(OLD, "20261124T1", NOW - 86_000)
    found, asked = find(cached=kept)
    assert found == Discovery(kept)
    assert len(asked) == 1
    found, asked = find(cached=kept, now=NOW + 400)
    assert found.fetched
    assert len(asked) == 2


def test_another_id_means_another_policy() -> None:
    found, _ = find(cached=Cached(OLD, "before", NOW - 10))
    assert found.cached == Cached(POLICY, "20261124T1", NOW)


@pytest.mark.parametrize(
    ("record", "policy", "failure"),
    [
        (TempError("SERVFAIL"), FetchFailed("x"), ""),
        (NoData(), FetchFailed("x"), ""),
        (NxDomain(), FetchFailed("x"), ""),
        (Answer((b"v=spf1 -all",)), FetchFailed("x"), ""),
        (RECORD, FetchFailed("refused"), "sts-policy-fetch-error"),
        (RECORD, FetchFailed("expired", certificate=True), "sts-webpki-invalid"),
        (RECORD, TempError("confused"), "sts-policy-fetch-error"),
        (RECORD, Fetched(301, "text/plain", FILE), "sts-policy-fetch-error"),
        (RECORD, Fetched(404, "text/plain", FILE), "sts-policy-fetch-error"),
        (RECORD, Fetched(200, "text/html", FILE), "sts-policy-invalid"),
        (RECORD, Fetched(200, "text/plain", b"version: STSv2\n"), "sts-policy-invalid"),
        (RECORD, Fetched(200, "text/plain", FILE + b"\n" * MAX_BODY), "sts-policy-invalid"),
    ],
)
def test_whatever_goes_wrong_what_was_kept_holds_and_nothing_else(
    record: Told, policy: Told, failure: str
) -> None:
    """RFC 8461 §5.1: an attacker who stops the answers must not thereby end the policy."""
    kept = Cached(OLD, "before", NOW - 10)
    for cached, holds in ((kept, kept), (None, None), (Cached(OLD, "before", NOW - 86_400), None)):
        found, _ = find(record, policy, cached)
        assert (found.cached, found.fetched, found.failure) == (holds, False, failure)
        assert found.problem


def test_a_refresh_fetches_whatever_the_id_and_keeps_the_old_one_if_it_cannot() -> None:
    kept = Cached(OLD, "20261124T1", NOW - 10)
    good: Told = Fetched(200, "text/plain", FILE)
    for policy, holds in ((good, Cached(POLICY, "20261124T1", NOW)), (FetchFailed("x"), kept)):
        told: Told = policy
        found = drive(
            refresh("peer.test", kept, NOW),
            lambda asked, told=told: told if isinstance(asked, Fetch) else RECORD,  # type: ignore[misc]
        )
        assert found.cached == holds
    late = drive(refresh("peer.test", kept, NOW + 86_400), lambda _: TempError())
    assert late.cached is None


@pytest.mark.parametrize(
    "texts",
    [
        [b"v=STSv1; id=a1"],
        [b"v=STSv1;id=a1;"],
        [b"v=STSv1 ; id=a1 ; "],
        [b"v=STSv1; id=a1; x=y z; other=;"],
        [b"v=spf1 -all", b"v=STSv1; id=a1;", b"v=STSv10; id=b"],
        [b"v=STSv1; id=a1; id=b2;"],
    ],
)
def test_records_that_are_one(texts: list[bytes]) -> None:
    assert parse_record(texts) == Record("a1")


@pytest.mark.parametrize(
    "texts",
    [
        [],
        [b"v=STSv1; id=a1", b"v=STSv1; id=b2"],
        [b"v=STSv1;"],
        [b"v=STSv1"],
        [b" v=STSv1; id=a1"],
        [b"v=stsv1; id=a1"],
        [b"id=a1; v=STSv1;"],
        [b"v=STSv1; id=" + b"a" * 33],
        [b"v=STSv1; id=a-1"],
        [b"v=STSv1; id=;"],
        [b"v=STSv1; id=a1;; x=y"],
        [b"v=STSv1; id=a1; \xff=x"],
    ],
)
def test_records_that_are_none(texts: list[bytes]) -> None:
    assert isinstance(parse_record(texts), str)


@pytest.mark.parametrize(
    "octets",
    [
        FILE,
        FILE.replace(b"\r\n", b"\n"),
        FILE.rstrip(),
        FILE.replace(b": ", b":"),
        FILE + b"future: whatever\r\nmode: none\r\nmax_age: 1\r\n",
    ],
)
def test_policies_that_are_one(octets: bytes) -> None:
    assert parse_policy(octets) == POLICY


def test_a_policy_of_none_names_nobody() -> None:
    assert parse_policy(b"version: STSv1\nmode: none\nmax_age: 60\n") == Policy("none", 60, ())


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"\xff",
        b"<html>",
        b"mode: enforce\nmx: a.test\nmax_age: 1\n",
        b"version: STSv1\nmode: Enforce\nmx: a.test\nmax_age: 1\n",
        b"version: STSv1\nmode: enforce\nmax_age: 1\n",
        b"version: STSv1\nmode: enforce\nmx: a.test\n",
        b"version: STSv1\nmode: enforce\nmx: a.test\nmax_age: -1\n",
        b"version: STSv1\nmode: enforce\nmx: a.test\nmax_age: 31557601\n",
        b"version: STSv1\nmode: enforce\nmx: a.*.test\nmax_age: 1\n",
        b"version: STSv1\nmode: enforce\nmx: *\nmax_age: 1\n",
        b"version: STSv1\nmode: enforce\nmx: \nmax_age: 1\n",
    ],
)
def test_policies_that_are_none(octets: bytes) -> None:
    assert isinstance(parse_policy(octets), str)


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("mx.peer.test", True),
        ("MX.peer.test.", True),
        ("a.backup.test", True),
        ("backup.test", False),
        ("a.b.backup.test", False),
        ("mx.peer.test.evil", False),
        ("", False),
    ],
)
def test_a_star_is_exactly_one_label(host: str, allowed: bool) -> None:
    assert POLICY.allows(host) == allowed


@given(st.lists(st.binary(max_size=60), max_size=3), st.binary(max_size=200))
def test_any_octets_are_a_value_or_a_reason(texts: list[bytes], octets: bytes) -> None:
    assert isinstance(parse_record([b"v=STSv1;" + text for text in texts]), Record | str)
    assert isinstance(parse_policy(b"version: STSv1\n" + octets), Policy | str)
