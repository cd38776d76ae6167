"""What the other side wrote into a message: Authentication-Results (RFC 8601) and Received; pure."""

import re
from dataclasses import dataclass

from mxfleet.errors import MessageError
from mxfleet.mail.authentication_results import parse, read_authserv_id

COMMENT = re.compile(r"\((?:[^()\\]|\\.)*\)")


@dataclass(frozen=True, slots=True)
class Verdict:
    """One method's result with its properties: `dkim`, `pass`, `{"header.d": "corp.test"}`."""

    method: str
    result: str
    properties: dict[str, str]


@dataclass(frozen=True, slots=True)
class Authentication:
    """One Authentication-Results field: who wrote it, its verdicts, and its text on one line."""

    server: str
    verdicts: tuple[Verdict, ...]
    text: str

    def results(self, method: str) -> tuple[str, ...]:
        """The results of one method, in the field's order: `("pass", "pass")` for two DKIM signatures."""
        return tuple(verdict.result for verdict in self.verdicts if verdict.method == method)


def fields(raw: bytes, name: str) -> list[str]:
    """All fields of that name, topmost first, each unfolded to one line."""
    head = raw.replace(b"\r\n", b"\n").split(b"\n\n", 1)[0].decode("utf-8", "replace")
    unfolded = re.sub(r"\n[ \t]+", " ", head)
    pairs = (line.partition(":") for line in unfolded.split("\n"))
    return [value.strip() for found, _, value in pairs if found.strip().lower() == name.lower()]


def parse_authentication(text: str) -> Authentication:
    """One field's value; what RFC 8601 §2.2 does not allow gives no verdicts, never an error."""
    one_line = " ".join(text.split())
    try:
        found = parse(one_line)
    except MessageError:
        return Authentication(read_authserv_id(one_line), (), one_line)
    verdicts = tuple(
        Verdict(result.method, result.result, dict(result.properties)) for result in found.results
    )
    return Authentication(found.authserv_id, verdicts, one_line)


def authentication(raw: bytes, server: str = "") -> Authentication | None:
    """The topmost Authentication-Results, of `server` where one is named: only the border's own word counts.

    RFC 8601 §5: what stands below, or bears another name, may have come with the message.
    """
    for text in fields(raw, "Authentication-Results"):
        found = parse_authentication(text)
        if not server or found.server.lower() == server.lower():
            return found
    return None


def trace_of(raw: bytes, hostnames: tuple[str, ...]) -> tuple[str, str]:
    """(host, trace id) of the topmost Received written by one of our hosts; empty strings where there is none.

    RFC 5321 §4.4: `Received: from … by HOST … with PROTOCOL id TRACE …`.
    """
    for text in fields(raw, "Received"):
        plain = COMMENT.sub(" ", text)
        by = re.search(r"\bby\s+(\S+)", plain)
        identity = re.search(r"\bid\s+<?([^\s;>]+)", plain)
        if by and identity and by[1].lower() in hostnames:
            return by[1].lower(), identity[1]
    return "", ""


def outbound_problems(found: Authentication | None, domain: str) -> list[str]:
    """Why a message of ours did not pass at the peer; empty where it did, with both signatures."""
    if found is None:
        return ["the peer wrote no Authentication-Results"]
    problems = [
        f"{method}={'/'.join(found.results(method)) or 'none'} at the peer, not pass"
        for method in ("spf", "dmarc")
        if found.results(method) != ("pass",)
    ]
    signatures = [verdict for verdict in found.verdicts if verdict.method == "dkim"]
    good = {
        verdict.properties.get("header.s", "")
        for verdict in signatures
        if verdict.result == "pass" and verdict.properties.get("header.d") == domain
    }
    if len(good) < 2:
        seen = ", ".join(f"{v.properties.get('header.s', '?')}={v.result}" for v in signatures) or "none"
        problems.append(f"not two DKIM signatures of {domain} that pass (RSA and Ed25519), but {seen}")
    return problems


def border_problems(found: Authentication | None, domain: str) -> list[str]:
    """Why our own exchange did not find the peer's message to be what it is; empty where it did."""
    if found is None:
        return ["our exchange wrote no Authentication-Results"]
    return [
        f"{method}={'/'.join(found.results(method)) or 'none'} at our exchange, not pass, for {domain}"
        for method in ("spf", "dkim", "dmarc")
        if "pass" not in found.results(method)
    ]


def inbound_problems(found: Authentication | None, domain: str) -> list[str]:
    """Why the peer's own verifier does not recognise its message after our exchange; empty where it does."""
    if found is None:
        return ["the peer's verifier gave no verdict on the message as it lies in the mailbox"]
    intact = any(
        verdict.method == "dkim" and verdict.result == "pass" and verdict.properties.get("header.d") == domain
        for verdict in found.verdicts
    )
    return [] if intact else [f"the signature of {domain} does not verify after our exchange: {found.text}"]


def forged_problems(found: Authentication | None, reply: str) -> list[str]:
    """Why a forged message was not seen to be one; `reply` is the peer's to the final dot, or empty."""
    if found is not None and found.results("dmarc") == ("fail",):
        return []
    if reply.startswith("5") and "dmarc" in reply.lower():
        return []
    said = found.text if found else reply or "nothing"
    return [f"the peer did not say dmarc=fail of a forged message, but: {said}"]
