"""`decide`: evidence and rules in, one decision out; pure, so that every case is a line of a table in the tests."""

from typing import Final, Literal

import msgspec

from mxfleet.mail.evidence import Evidence
from mxfleet.mail.reply import Reply
from mxfleet.mxd.rspamd import Spam
from mxfleet.mxd.rules import Rules

WORDS: Final = 200  # characters of what others said, in a reply of ours


class Decision(msgspec.Struct, frozen=True):
    """What becomes of a message.

    `reply` is the refusal, None where it is accepted; `reason` is for the log, "" where there is nothing to say;
    `marks` are the header fields (name, text) that tell the reader of an accepted message what was found.
    """

    action: Literal["accept", "defer", "reject"]
    reason: str = ""
    reply: Reply | None = None
    marks: tuple[tuple[str, str], ...] = ()


_NOTHING: Final = Decision("accept")  # said of what needs no word


def decide(evidence: Evidence, spam: Spam | None, rules: Rules, trace: str) -> Decision:
    """The decision on a complete message; the trace id stands in every refusal."""
    findings = _findings(evidence, spam, rules)
    if not findings:
        return _NOTHING
    for action in ("reject", "defer"):
        found = next((f for f in findings if f.action == action), None)
        if found is None or found.reply is None:
            continue
        if rules.exempts(evidence.address):
            return Decision("accept", f"exempt: {found.reason}")
        reply = found.reply
        return Decision(
            found.action, found.reason, Reply(reply.code, reply.enhanced, f"{reply.text} ({trace})")
        )
    return Decision(
        "accept",
        "; ".join(found.reason for found in findings if found.reason),
        marks=tuple(mark for found in findings for mark in found.marks),
    )


def _findings(evidence: Evidence, spam: Spam | None, rules: Rules) -> list[Decision]:
    """Each matter by itself that has something to say, in the order in which they are named to the client."""
    found = [_dmarc(evidence, rules), _spf(evidence, rules)]
    if spam is not None:
        found.append(_spam(spam, rules))
    return [each for each in found if each is not _NOTHING]


def _dmarc(evidence: Evidence, rules: Rules) -> Decision:
    dmarc, settings = evidence.dmarc, rules.settings
    if dmarc is None or dmarc.result in ("pass", "none"):
        return _NOTHING
    said = f"DMARC: {dmarc.reason}"[:WORDS]
    if settings.dmarc == "mark":
        return Decision("accept", said)
    if dmarc.result == "permerror":  # whose mail it is cannot be told (RFC 9989 §11.5)
        return Decision("reject", said, Reply(550, "5.7.1", said))
    if dmarc.result == "temperror":
        if (
            settings.temporary == "mark" or dmarc.aligned
        ):  # no DNS trouble holds up what the author's own host sent
            return Decision("accept", said)
        return Decision("defer", said, Reply(451, "4.4.3", f"{said}; try again later"))
    if dmarc.disposition == "none":
        return Decision("accept", said)
    if because := _outweighed(evidence, rules):
        return Decision("accept", f"{said}, but {because}")
    if dmarc.disposition == "quarantine" and settings.quarantine == "mark":
        return Decision("accept", said, marks=(("X-Quarantine", f"DMARC fail, as {dmarc.domain} asks"),))
    text = f"DMARC: {dmarc.domain} asks to refuse mail in its name that neither SPF nor DKIM proves to be its own"
    return Decision("reject", said, Reply(550, "5.7.26", text))  # RFC 7372 §3.4


def is_senders_own(evidence: Evidence) -> bool:
    """Whether the domain of the reverse-path answers for the message, so that a report to it hits nobody else.

    That DMARC passes is not enough: the author's domain may be another one.
    """
    spf, domain = evidence.spf, evidence.sender.rpartition("@")[2].lower()
    if spf is not None and spf.result == "pass" and spf.identity == "mailfrom" and domain:
        return True
    return any(verdict.result == "pass" and verdict.domain == domain for verdict in evidence.dkim or ())


def _outweighed(evidence: Evidence, rules: Rules) -> str:
    """Why a failure of DMARC does not count here, "" where it does."""
    dmarc, arc = evidence.dmarc, evidence.arc
    if dmarc is not None and dmarc.domain in rules.authors:
        return f"{dmarc.domain} is exempt"
    if arc is not None and arc.result == "pass" and arc.sealers and rules.sealers.issuperset(arc.sealers):
        return f"sealed by {', '.join(arc.sealers)}"
    return ""


def _spf(evidence: Evidence, rules: Rules) -> Decision:
    spf = evidence.spf
    if spf is None or spf.result != "fail":
        return _NOTHING
    said = f"SPF: {spf.reason}"[:WORDS]
    if rules.settings.spf == "mark" or (evidence.dmarc is not None and evidence.dmarc.result == "pass"):
        return Decision("accept", said)
    text = f"SPF: {spf.domain} does not let {evidence.address} send its mail"
    if spf.explanation:  # RFC 7208 §8.4
        text += f"; {spf.domain} explains: {spf.explanation[:WORDS]}"
    return Decision("reject", said, Reply(550, "5.7.23", text))  # RFC 7372 §3.2


def _spam(spam: Spam, rules: Rules) -> Decision:
    said = f"rspamd: {spam.action}{f' ({spam.message[:WORDS]})' if spam.message else ''}"
    score = (("X-Spam", f"yes, {spam.score:.1f} of {spam.required:.1f}"),)
    if spam.action == "unreachable":
        if spam.hold:
            return Decision(
                "defer", said, Reply(451, "4.3.0", "The content scanner does not answer, try again later")
            )
        return _NOTHING  # said once for all messages
    if spam.action in ("no action", "unseen"):
        return _NOTHING
    if spam.action in ("add header", "rewrite subject") or rules.settings.rspamd == "mark":
        return Decision("accept", said, marks=score)
    if spam.action == "reject":
        return Decision("reject", said, Reply(550, "5.7.1", spam.message[:WORDS] or "Refused as spam"))
    return Decision("defer", said, Reply(451, "4.7.1", spam.message[:WORDS] or "Try again later"))
