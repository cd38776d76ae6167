"""What is done with mail from elsewhere before it is spooled: evidence, rspamd's opinion, the decision, the fields."""

import asyncio
import time
from collections.abc import Iterator

import msgspec

from mxfleet.mail.arc_seal import seal
from mxfleet.mail.dkim.key import SigningKey
from mxfleet.mail.evidence import Evidence
from mxfleet.mail.message import Headers
from mxfleet.mail.spf.result import Spf
from mxfleet.mxd import greylist
from mxfleet.mxd.decision import Decision, decide, is_senders_own
from mxfleet.mxd.desk import Client, Desk
from mxfleet.mxd.evidence import Begun, ClientEvidence, MessageEvidence
from mxfleet.mxd.fields import marks
from mxfleet.mxd.inspection import Arrived, Conclusion, Finding, Inspection, threads
from mxfleet.mxd.rspamd import Rspamd, Spam
from mxfleet.mxd.rules import Rules


class Examination(Inspection):
    """Examines one message from elsewhere on its way to the spool."""

    __slots__ = (
        "_client",
        "_desk",
        "_evidence",
        "_headers",
        "_known",
        "_recipients",
        "_rules",
        "_seal",
        "_sender",
        "_spf",
    )

    def __init__(
        self,
        desk: Desk,
        client: Client,
        known: ClientEvidence,
        sender: str,
        spf: Begun[Spf],
        recipients: tuple[str, ...],
        rules: Rules,
        seal: SigningKey | None = None,
    ) -> None:
        """`known` is what was found out of the client, `spf` what is being found out of the sender.

        `seal` is the key that vouches for the message where it goes on (RFC 8617).
        """
        super().__init__()
        self._seal = seal
        self._headers: Headers
        self._desk = desk
        self._client = client
        self._known = known
        self._sender = sender
        self._spf = spf
        self._recipients = recipients
        self._rules = rules
        self._evidence: MessageEvidence

    def header(self, headers: Headers) -> Headers:
        """Signatures are looked at as they came, forged fields of ours among them; those do not stay."""
        sealed = self._seal is not None
        self._evidence = MessageEvidence(self._known, self._sender, self._spf, headers, sealed=sealed)
        self._headers = self._desk.author.clean(headers)
        return self._headers

    def body(self, piece: bytes) -> None:
        """See Inspection."""
        self._evidence.body(piece)

    def conclude(self, message: Arrived) -> Conclusion:
        """At once where all is known and nobody else is asked."""
        judged, rspamd = self._evidence.judge(message.trace), self._desk.rspamd
        alone = rspamd is None and self._seal is None and self._desk.greylist is None
        if alone and not isinstance(judged, asyncio.Future):
            return self._decide(judged, None, message)
        return self._conclude_later(judged, rspamd, message)

    async def _conclude_later(
        self, judged: Begun[Evidence], rspamd: Rspamd | None, message: Arrived
    ) -> Finding:
        spam = None
        if rspamd is not None:
            spam = await self._scan(rspamd, message)
        evidence = await judged if isinstance(judged, asyncio.Future) else judged
        found = self._decide(evidence, spam, message)
        if found.refusal is None and greylist.applies(evidence, self._rules):
            found = await self._greylisted(evidence, found, message.trace)
        if self._seal is None or found.refusal is not None:
            return found
        loop = asyncio.get_running_loop()
        sealed = await loop.run_in_executor(threads, self._sealing, self._seal, evidence)
        return msgspec.structs.replace(found, head=sealed + found.head)

    def _sealing(self, key: SigningKey, evidence: Evidence) -> bytes:
        """The ARC set for who gets it next; none where the chain that came could not be judged."""
        arc = evidence.arc
        if arc is None or arc.temporary or not (body_hash := self._evidence.body_hash):
            return b""
        us, now = self._desk.author.name, int(time.time())
        found = evidence.results()
        return seal(self._headers, us, found, arc.result, body_hash=body_hash, key=key, timestamp=now)

    async def _greylisted(self, evidence: Evidence, found: Finding, trace: str) -> Finding:
        """What nothing else speaks against has to come again, where it comes for the first time."""
        store = self._desk.greylist
        if store is None:
            return found
        wait = await store.wait(greylist.keys(evidence, self._recipients, store.settings))
        if wait <= 0:
            return found
        facts = {**found.facts, "greylisted": round(wait, 1)}
        return Finding(refusal=greylist.reply(wait, trace), facts=facts)

    async def _scan(self, rspamd: Rspamd, message: Arrived) -> Spam:
        if not rspamd.takes(message.size):
            return Spam("unseen")
        return await rspamd.scan(self._envelope(message.trace), message.size, message.octets())

    def _envelope(self, trace: str) -> Iterator[tuple[str, str]]:
        """What is known around the message, as `/checkv2` takes it."""
        client, tls = self._client, self._client.tls
        yield "IP", client.address
        yield "Helo", client.hello
        yield "From", self._sender
        for recipient in self._recipients:
            yield "Rcpt", recipient
        yield "Queue-Id", trace
        yield "MTA-Name", self._desk.author.name
        if tls is not None:
            yield "TLS-Version", tls.version
            yield "TLS-Cipher", tls.cipher

    def _decide(self, evidence: Evidence, spam: Spam | None, message: Arrived) -> Finding:
        decision = decide(evidence, spam, self._rules, message.trace)
        facts = _facts(evidence, spam, decision)
        if decision.reply is not None:
            return Finding(refusal=decision.reply, facts=facts)
        head = self._desk.author.fields(evidence)
        if decision.marks:
            head = marks(decision.marks) + head
        return Finding(head, None, facts, bool(decision.marks), is_senders_own(evidence))


def _facts(evidence: Evidence, spam: Spam | None, decision: Decision) -> dict[str, object]:
    """The evidence on one line of the log."""
    facts: dict[str, object] = {}
    if evidence.iprev is not None:
        facts["iprev"] = evidence.iprev.result
    if evidence.spf is not None:
        facts["spf"] = evidence.spf.result
    if evidence.dkim is not None:
        facts["dkim"] = [f"{verdict.result} {verdict.domain}" for verdict in evidence.dkim]
    if evidence.arc is not None and evidence.arc.result != "none":
        facts["arc"] = evidence.arc.result
    if evidence.dmarc is not None:
        facts["dmarc"] = f"{evidence.dmarc.result} {evidence.dmarc.domain}"
    if listed := [found.zone for found in evidence.listings if found.result == "listed"]:
        facts["listed"] = listed
    if spam is not None:
        facts["rspamd"] = f"{spam.action} {spam.score:.1f}"
        if spam.symbols:
            facts["symbols"] = spam.symbols
    if decision.reason:
        facts["reason"] = decision.reason
    return facts
