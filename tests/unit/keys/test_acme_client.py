"""What a certificate authority says, in one line: who refuses, what, why, and until when."""

from datetime import UTC, datetime

import pytest
import requests
from acme import errors, messages

from mxfleet.keys.acme_client import Network, sentence

DIRECTORY = "https://acme.example.net/dir"
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def problem(code: str, detail: str) -> messages.Error:
    return messages.Error.with_code(code, detail=detail)


def failed(name: str, error: messages.Error) -> errors.ValidationError:
    challenge = messages.ChallengeBody.from_json(
        {
            "type": "dns-01",
            "url": "https://x/1",
            "status": "invalid",
            "token": "A" * 43,
            "error": error.to_json(),
        }
    )
    body = messages.Authorization(
        identifier=messages.Identifier(typ=messages.IDENTIFIER_FQDN, value=name), challenges=(challenge,)
    )
    return errors.ValidationError([messages.AuthorizationResource(body=body, uri="https://x/a")])


@pytest.mark.parametrize(
    ("error", "retry_after", "said"),
    [
        (
            problem("rateLimited", "too many certificates"),
            "300",
            "acme.example.net refuses: rate limit: too many certificates (not before 2026-11-24 12:05 UTC)",
        ),
        (
            problem("rateLimited", "too many"),
            "Tue, 24 Nov 2026 13:30:00 GMT",
            "acme.example.net refuses: rate limit: too many (not before 2026-11-24 13:30 UTC)",
        ),
        (problem("rateLimited", "too many"), "soon", "acme.example.net refuses: rate limit: too many"),
        (
            problem("caa", "mx.example.org: not ours"),
            "",
            "acme.example.net refuses: CAA records of the name forbid it: mx.example.org: not ours",
        ),
        (
            failed("mx.example.org", problem("unauthorized", "Incorrect TXT record\n found")),
            "",
            "the proof by DNS (_acme-challenge.mx.example.org) failed: unauthorized: Incorrect TXT record found",
        ),
        (errors.TimeoutError(), "", "acme.example.net did not decide in time"),
        (
            requests.exceptions.ConnectionError("no route"),
            "",
            "acme.example.net cannot be reached: no route",
        ),
        (
            requests.exceptions.SSLError("bad"),
            "",
            "acme.example.net: its HTTPS certificate is not trusted (Acme(trust=...) names another root)",
        ),
    ],
)
def test_a_refusal_is_one_line(error: Exception, retry_after: str, said: str) -> None:
    assert sentence(error, DIRECTORY, retry_after, NOW) == said


def test_an_authority_that_forgets_nonces_is_asked_again_and_not_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refused = messages.Error.with_code("badNonce")
    accepted = requests.Response()
    answers: list[object] = [refused] * 5 + [accepted]

    def post_once(*_: object, **__: object) -> object:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(Network, "_post_once", post_once)
    network = Network(None)
    assert network.post("https://acme.test/order") is accepted
    answers[:] = [refused] * 20
    with pytest.raises(messages.Error, match="badNonce"):
        network.post("https://acme.test/order")
    assert len(answers) == 14
