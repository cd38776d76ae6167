"""The dialogue with one host: connect, TLS as the rule wants it, the transaction, and what it came to."""

import os
import ssl
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Final

import msgspec

from mxfleet.mail import sending_tls
from mxfleet.mail.address import Mailbox, parse_mailbox
from mxfleet.mail.dane_chain import match
from mxfleet.mail.message import needs_utf8
from mxfleet.mail.reply import Reply
from mxfleet.mail.sending_tls import Rule
from mxfleet.mail.smtp.client import ClientConfig
from mxfleet.mail.smtp.client_events import TLS_NOT_OFFERED, BodyWanted, Failed, Outcome, Ready, Tls
from mxfleet.mail.smtp.delivery import RecipientResult, Stage, Status, Transaction
from mxfleet.mail.smtp.events import Closed, StartTls
from mxfleet.mail.smtp.notification import NO_MAIL_DSN, MailDsn, RcptDsn
from mxfleet.mxd.desk import Desk
from mxfleet.mxd.idle import IdleConnections
from mxfleet.mxd.outbound import UNREACHABLE, Connection, Verdict
from mxfleet.mxd.reaching import reach
from mxfleet.mxd.route import Hop
from mxfleet.mxd.security import Security
from mxfleet.mxd.spool.values import Envelope, StoredMessage
from mxfleet.mxd.tls import chain_of

NO_FAMILY: Final = Reply(451, "4.4.1", "This node has no address of that family")


class Attempt(msgspec.Struct, frozen=True):
    """What became of an attempt: an answer for each recipient, in order, and the host whose words they are.

    Not `decided` means that no host has said anything about any recipient: another one may be asked. `tls` is the
    version, `policy` who wanted it so, `verified` by what the host's certificate was found good. `reports` says that
    the host took over what the sender wants to be told (DSN, RFC 3461).
    """

    answers: tuple[RecipientResult, ...]
    host: str = ""
    address: str = ""
    tls: str = ""
    decided: bool = True
    reports: bool = False
    cipher: str = ""
    policy: str = ""
    verified: str = ""
    final: bool = False  # the host keeps the mailboxes (LMTP)


class Letter(msgspec.Struct, frozen=True):
    """What is to be sent: one message to some recipients, for some deliveries; a `probe` only asks about them."""

    message: StoredMessage
    recipients: tuple[Mailbox, ...]
    deliveries: tuple[int, ...] = ()
    probe: bool = False

    @property
    def transaction(self) -> Transaction:
        """What the next host is told; for a probe, only whom it would take mail for (RFC 5321 §4.5.5: from `<>`)."""
        if self.probe:
            return Transaction(None, self.recipients, probe=True)
        return transaction_of(self.message, self.recipients)

    @property
    def trace(self) -> str:
        """The message's id in the log."""
        return self.message.envelope.trace


class Dialogue:
    """Speaks for this node, from its own addresses, under its own name."""

    def __init__(self, desk: Desk, security: Security) -> None:
        self._desk = desk
        self._security = security
        self._idle = IdleConnections()

    async def hold(
        self, hop: Hop, addresses: Sequence[str], rule: Rule, letter: Letter
    ) -> tuple[Attempt, set[str]]:
        """Speak with a host at one of its addresses, with those that are done with."""
        for address in addresses:
            kept = self._idle.take((hop, address, rule))
            if kept is not None:
                found = await self._with(kept, hop, address, rule, letter)
                if not _worn_out(found):
                    return found, {address}
        if rule.trying and rule.level == "opportunistic":
            self._overlook(hop, rule, letter, rule.reason)
        return await self._afresh(hop, addresses, rule, letter)

    async def close(self) -> None:
        """End the connections that are kept, and wait for those that are saying good-bye."""
        await self._idle.close()

    async def _afresh(
        self, hop: Hop, addresses: Sequence[str], rule: Rule, letter: Letter
    ) -> tuple[Attempt, set[str]]:
        """A new connection; with less TLS where less is allowed (RFC 3207 §4.1, RFC 7435)."""
        found, done = await self._once(hop, addresses, rule, letter)
        answer = found.answers[0]
        if found.decided or not found.address or answer.stage != "starttls" or rule.required:
            return found, done
        if rule.trying and rule.level == "verify":
            self._overlook(hop, rule, letter, answer.reply.text)
            again, _ = await self._afresh(hop, [found.address], replace(rule, level="opportunistic"), letter)
            return again, done
        if rule.level != "opportunistic":
            return found, done
        self._desk.log.warning(
            "TLS failed, trying without",
            trace=letter.trace,
            host=hop.host,
            address=found.address,
            reason=answer.reply.text,
        )
        again, _ = await self._once(hop, [found.address], replace(rule, level="none"), letter)
        return again, done

    def _overlook(self, hop: Hop, rule: Rule, letter: Letter, reason: str) -> None:
        """MTA-STS `testing` (RFC 8461 §5): it is delivered all the same, and somebody should know."""
        self._desk.log.warning(
            "would be refused", trace=letter.trace, host=hop.host, policy=rule.policy, reason=reason
        )

    async def _once(
        self, hop: Hop, addresses: Sequence[str], rule: Rule, letter: Letter
    ) -> tuple[Attempt, set[str]]:
        usable = [address for address in addresses if self._source(address)]
        if not usable:
            return same_for_all(letter.recipients, NO_FAMILY, hop.host, addresses[0]), set(addresses)
        hostname = self._desk.settings.node.hostname
        config = ClientConfig(hostname, hop.protocol, _wanted(rule), hop.username, hop.password)
        reached = await reach(partial(self._connect, config, hop.port), usable, Connection.abort)
        done = {*addresses} - {*usable} | {*reached.failed}
        if reached.opened is None:
            reply = Reply(451, "4.4.1", _unreachable(hop, reached.failed))
            return same_for_all(letter.recipients, reply, hop.host, usable[0]), done
        found = await self._with(reached.opened, hop, reached.address, rule, letter)
        return found, done | {reached.address}

    async def _connect(self, config: ClientConfig, port: int, address: str) -> Connection:
        patience = self._desk.settings.delivery.connect_timeout
        return await Connection.connect(config, address, port, self._source(address), patience)

    def _source(self, address: str) -> str:
        """Our own address of the same family: PTR, SPF and EHLO's name agree about it; "" where there is none."""
        node = self._desk.settings.node
        return node.address6 if ":" in address else node.address4

    async def _with(
        self, connection: Connection, hop: Hop, address: str, rule: Rule, letter: Letter
    ) -> Attempt:
        try:
            found = await self._speak(connection, hop, rule, letter)
        except BaseException:
            if doubtful := connection.engine.in_doubt:
                self._desk.counters.add("doubtful", doubtful)
                self._desk.log.warning("abandoned behind the final dot", trace=letter.trace)
            connection.abort()
            raise
        tls, reports = connection.engine.tls, "DSN" in connection.engine.extensions
        self._idle.put((hop, address, rule), connection)
        if tls is None and rule.trying and rule.level == "verify" and found.decided:
            self._overlook(hop, rule, letter, "it offers no TLS")
        return msgspec.structs.replace(
            found,
            host=hop.host,
            address=address,
            tls=tls.version if tls else "",
            cipher=tls.cipher if tls else "",
            policy=rule.policy,
            verified=connection.verified,
            reports=reports,
            final=hop.protocol == "lmtp",
        )

    async def _speak(self, connection: Connection, hop: Hop, rule: Rule, letter: Letter) -> Attempt:
        recipients = letter.recipients
        while True:
            match await connection.next():
                case StartTls():
                    name = rule.server_name or hop.host
                    problem = await connection.start_tls(
                        self._security.context(rule), name, partial(_judge, rule)
                    )
                    if problem:
                        reply = sending_tls.failure(rule, hop.host, problem)
                        return same_for_all(recipients, reply, stage="starttls")
                case Ready():
                    connection.engine.send(letter.transaction)
                case BodyWanted():
                    await self._send(connection, letter)
                case Outcome(results):
                    return Attempt(results, decided=not _undecided(results))
                case Failed(stage, reply, remote):
                    if reply == TLS_NOT_OFFERED:
                        reply = sending_tls.not_offered(rule, hop.host)
                    # Whatever the code: a host that takes no session says nothing about the recipients.
                    failed = (RecipientResult(r, "deferred", stage, reply, remote) for r in recipients)
                    return Attempt(tuple(failed), decided=False)
                case Closed():
                    return same_for_all(recipients, UNREACHABLE)

    async def _send(self, connection: Connection, letter: Letter) -> None:
        message, piece = letter.message, letter.message.head + letter.message.first
        for number in range(1, message.chunks):
            await connection.body(piece, last=False)
            piece = await self._desk.spool.chunk(message.number, number)
        if self._desk.final_dots is not None:
            self._desk.final_dots.sent(letter.deliveries)
        await connection.body(piece, last=True)


def same_for_all(
    recipients: Sequence[Mailbox], reply: Reply, host: str = "", address: str = "", stage: Stage = "greeting"
) -> Attempt:
    """The same answer, in our own words, for everybody; nothing was decided by anybody."""
    status: Status = "failed" if reply.permanent else "deferred"
    answers = (RecipientResult(r, status, stage, reply, remote=False) for r in recipients)
    return Attempt(tuple(answers), host, address, decided=False)


def _wanted(rule: Rule) -> Tls:
    if rule.level == "none":
        return "none"
    return "required" if rule.required else "opportunistic"


def _judge(rule: Rule, shown: ssl.SSLObject) -> Verdict:
    """Whether what a host showed in the handshake is what the rule wants."""
    if rule.level == "verify":  # OpenSSL has seen to it
        return Verdict(verified=f"a trusted authority, for {', '.join(rule.names)}")
    if rule.level != "dane":
        return Verdict()
    found = match(rule.records, chain_of(shown), rule.names, datetime.now(UTC))
    if found.record is None:
        return Verdict(f"{found.reason} ({len(rule.records)} TLSA records of {rule.server_name})")
    record = found.record
    words = f"TLSA {record.usage} {record.selector} {record.matching} of {rule.server_name}"
    return Verdict(verified=words)


def _unreachable(hop: Hop, failed: dict[str, OSError]) -> str:
    """Each address with why it could not be connected to."""
    each = (
        f"{address} port {hop.port}: {os.strerror(error.errno) if error.errno else 'no answer in time'}"
        for address, error in failed.items()
    )
    return f"No connection to {'; '.join(each)}"


def transaction_of(message: StoredMessage, recipients: tuple[Mailbox, ...]) -> Transaction:
    """What the next host is told, with all that was said to us (RFC 3461 §5.2.1, RFC 6531 §3.4)."""
    envelope = message.envelope
    reverse = parse_mailbox(envelope.sender) if envelope.sender else None
    size = len(message.head) + envelope.size
    return Transaction(
        reverse,
        recipients,
        size,
        "8BITMIME" if envelope.eight_bit else "7BIT",
        utf8=envelope.utf8 and needs_utf8(message.head + message.first),
        dsn=MailDsn(envelope.ret, envelope.envid) if envelope.ret or envelope.envid else NO_MAIL_DSN,
        recipient_dsn=_wishes(envelope, recipients) if envelope.notify or envelope.orcpt else (),
    )


def _wishes(envelope: Envelope, recipients: tuple[Mailbox, ...]) -> tuple[RcptDsn, ...]:
    names = [str(recipient) for recipient in recipients]
    return tuple(RcptDsn(envelope.notify.get(name, ""), envelope.orcpt.get(name, "")) for name in names)


def _worn_out(attempt: Attempt) -> bool:
    """Whether a kept connection came to its end before anything was said about the message: try a fresh one."""
    return all(
        not answer.doubtful
        and answer.status == "deferred"
        and (not answer.remote or (answer.reply.code == 421 and answer.stage in ("mail", "rcpt", "data")))
        for answer in attempt.answers
    )


def _undecided(results: Sequence[RecipientResult]) -> bool:
    """Whether the connection was lost before the host said anything, and nothing may have been delivered."""
    return all(r.status == "deferred" and not r.remote and not r.doubtful for r in results)
