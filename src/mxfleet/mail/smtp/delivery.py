"""One mail transaction of the client: its recipients, and what became of each (RFC 5321 §3.3, RFC 2033)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from mxfleet.errors import SmtpError
from mxfleet.mail.address import Mailbox, ReversePath, path
from mxfleet.mail.reply import Reply
from mxfleet.mail.smtp.events import Body
from mxfleet.mail.smtp.notification import NO_MAIL_DSN, MailDsn, RcptDsn, mail_words, rcpt_words

Stage: TypeAlias = Literal[
    "greeting", "hello", "starttls", "auth", "mail", "rcpt", "data", "body", "message", "reset", "quit"
]
"""Where in the dialogue: `body` is before the final dot was sent, `message` behind it."""

Status: TypeAlias = Literal["delivered", "deferred", "failed"]
Extensions: TypeAlias = Mapping[str, str]
"""What EHLO offered: keyword in upper case, parameters or ""."""

NO_UTF8_SENDER: Reply = Reply(
    550, "5.6.7", "The sender's address is beyond ASCII, and the next host does not take that (SMTPUTF8)"
)
NO_UTF8_RECIPIENT: Reply = Reply(
    553, "5.6.7", "The address is beyond ASCII, and the next host does not take that (SMTPUTF8)"
)
NO_UTF8_HEADER: Reply = Reply(
    554, "5.6.9", "Header fields are beyond ASCII, and the next host does not take that (SMTPUTF8)"
)
WOULD_BE_TAKEN: Reply = Reply(250, "2.1.5", "The next host takes mail for it")
CONVERSION: Reply = Reply(554, "5.6.3", "The next host does not take 8-bit messages (8BITMIME)")
TOO_BIG: Reply = Reply(552, "5.3.4", "The message is larger than the next host accepts")


@dataclass(frozen=True, slots=True)
class Transaction:
    """A message to be sent: envelope, size in octets (0 where not known), kind of body.

    `utf8` says that header fields hold more than ASCII (`message.needs_utf8`); of addresses it is seen. `dsn` and
    `recipient_dsn` (one for each recipient, or none) go along where the other side offers DSN. A `probe` ends behind
    RCPT: it only asks who would be accepted, and no message is sent.
    """

    reverse_path: ReversePath
    recipients: tuple[Mailbox, ...]
    size: int = 0
    body: Body = "7BIT"
    utf8: bool = False
    dsn: MailDsn = NO_MAIL_DSN
    recipient_dsn: tuple[RcptDsn, ...] = ()
    probe: bool = False

    def __post_init__(self) -> None:
        """A transaction has recipients."""
        if not self.recipients:
            raise SmtpError("a transaction without recipients")
        if len(self.recipient_dsn) not in (0, len(self.recipients)):
            raise SmtpError(
                f"{len(self.recipients)} recipients and {len(self.recipient_dsn)} wishes for them"
            )


@dataclass(frozen=True, slots=True)
class RecipientResult:
    """What became of one recipient.

    `remote`: the reply's words are the other side's, not ours. `doubtful`: the whole message was sent and no
    answer seen, so that it may have been delivered.
    """

    recipient: Mailbox
    status: Status
    stage: Stage
    reply: Reply
    remote: bool = True
    doubtful: bool = False


class Delivery:
    """The bookkeeping of one transaction."""

    def __init__(self, transaction: Transaction, extensions: Extensions) -> None:
        """Begin before MAIL."""
        self.transaction = transaction
        self._extensions = extensions
        self._results: list[RecipientResult | None] = [None] * len(transaction.recipients)
        self.accepted: list[int] = []  # positions of the recipients whose message goes on
        self.begun = False  # MAIL was accepted, and no answer to a message has ended it
        # RFC 6531 §3.4: only where something needs it; what does not can be sent on by anybody.
        self.utf8 = transaction.utf8 or not all(
            map(_is_ascii, (transaction.reverse_path, *transaction.recipients))
        )

    def check(self) -> None:
        """Settle those whom there is no use in even naming to this host."""
        if (obstacle := self._obstacle()) is not None:
            self.settle_all("mail", obstacle, remote=False)
        elif self.utf8 and "SMTPUTF8" not in self._extensions:
            self.utf8 = False
            for position, recipient in enumerate(self.transaction.recipients):
                if not recipient.is_ascii:
                    self._settle(position, "rcpt", NO_UTF8_RECIPIENT, remote=False)

    def _obstacle(self) -> Reply | None:
        """Why none of it can go to this host (RFC 1870 §6.1, RFC 6152 §3, RFC 6531 §3.5)."""
        limit = self._extensions.get("SIZE", "")
        if limit.isdigit() and 0 < int(limit[:20]) < self.transaction.size:
            return TOO_BIG
        if self.transaction.body == "8BITMIME" and "8BITMIME" not in self._extensions:
            return CONVERSION
        if "SMTPUTF8" not in self._extensions:
            if not _is_ascii(self.transaction.reverse_path):
                return NO_UTF8_SENDER
            if self.transaction.utf8:
                return NO_UTF8_HEADER
        return None

    def mail_command(self) -> str:
        """MAIL with the parameters that the other side offers."""
        command = f"MAIL FROM:{path(self.transaction.reverse_path)}"
        if "SIZE" in self._extensions and self.transaction.size:
            command += f" SIZE={self.transaction.size}"
        if self.transaction.body == "8BITMIME":
            command += " BODY=8BITMIME"
        if self.utf8:
            command += " SMTPUTF8"
        return command + self._said(mail_words(self.transaction.dsn))

    def rcpt_command(self, position: int) -> str:
        """RCPT for one recipient."""
        command = f"RCPT TO:{path(self.transaction.recipients[position])}"
        if not self.transaction.recipient_dsn:
            return command
        return command + self._said(rcpt_words(self.transaction.recipient_dsn[position], utf8=self.utf8))

    def _said(self, words: str) -> str:
        return words if "DSN" in self._extensions else ""  # RFC 3461 §5.2.2: dropped, and the driver knows

    @property
    def open(self) -> tuple[int, ...]:
        """The positions of the recipients whose fate is not known."""
        return tuple(position for position, result in enumerate(self._results) if result is None)

    @property
    def results(self) -> tuple[RecipientResult, ...]:
        """One for each recipient, in order, once all are settled."""
        return tuple(result for result in self._results if result is not None)

    @property
    def settled(self) -> bool:
        """Whether every recipient's fate is known."""
        return None not in self._results

    def answer_recipient(self, position: int, reply: Reply) -> None:
        """The reply to one RCPT."""
        if self._results[position] is not None:
            return  # MAIL was refused; this reply only says so again
        if reply.positive:
            self.accepted.append(position)
        else:
            self._settle(position, "rcpt", reply)

    def settle_all(self, stage: Stage, reply: Reply, *, remote: bool = True, doubtful: bool = False) -> None:
        """The reply decides for all recipients that are still open."""
        for position, result in enumerate(self._results):
            if result is None:
                self._settle(position, stage, reply, remote=remote, doubtful=doubtful)

    def settle_next(self, reply: Reply) -> None:
        """LMTP: one reply a recipient behind the final dot, in the order of RCPT (RFC 2033 §4.2)."""
        self._settle(self.accepted.pop(0), "message", reply)

    def _settle(
        self, position: int, stage: Stage, reply: Reply, *, remote: bool = True, doubtful: bool = False
    ) -> None:
        self._results[position] = RecipientResult(
            self.transaction.recipients[position], _status(stage, reply), stage, reply, remote, doubtful
        )


def _is_ascii(mailbox: ReversePath) -> bool:
    return mailbox is None or mailbox.is_ascii


def _status(stage: Stage, reply: Reply) -> Status:
    if reply.positive:
        return "delivered"
    # RFC 5321 §4.5.3.1.10: some say 552 where they mean 452, too many recipients.
    too_many = stage == "rcpt" and reply.code == 552
    return "deferred" if reply.temporary or too_many else "failed"
