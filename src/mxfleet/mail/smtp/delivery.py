"""One mail transaction of the client: its recipients, and what became of each (RFC 5321 §3.3, RFC 2033)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from mxfleet.errors import SmtpError
from mxfleet.mail.address import Mailbox, ReversePath, path
from mxfleet.mail.reply import Reply
from mxfleet.mail.smtp.events import Body

Stage: TypeAlias = Literal[
    "greeting", "hello", "starttls", "auth", "mail", "rcpt", "data", "body", "message", "reset", "quit"
]
"""Where in the dialogue: `body` is before the final dot was sent, `message` behind it."""

Status: TypeAlias = Literal["delivered", "deferred", "failed"]
Extensions: TypeAlias = Mapping[str, str]
"""What EHLO offered: keyword in upper case, parameters or ""."""

CONVERSION: Reply = Reply(554, "5.6.3", "The next host does not take 8-bit messages (8BITMIME)")
TOO_BIG: Reply = Reply(552, "5.3.4", "The message is larger than the next host accepts")


@dataclass(frozen=True, slots=True)
class Transaction:
    """A message to be sent: envelope, size in octets (0 where not known), kind of body."""

    reverse_path: ReversePath
    recipients: tuple[Mailbox, ...]
    size: int = 0
    body: Body = "7BIT"

    def __post_init__(self) -> None:
        """A transaction has recipients."""
        if not self.recipients:
            raise SmtpError("a transaction without recipients")


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

    def obstacle(self) -> Reply | None:
        """Why it must not even be tried with this host (RFC 1870 §6.1, RFC 6152 §3)."""
        limit = self._extensions.get("SIZE", "")
        if limit.isdigit() and 0 < int(limit[:20]) < self.transaction.size:
            return TOO_BIG
        if self.transaction.body == "8BITMIME" and "8BITMIME" not in self._extensions:
            return CONVERSION
        return None

    def mail_command(self) -> str:
        """MAIL with the parameters that the other side offers."""
        command = f"MAIL FROM:{path(self.transaction.reverse_path)}"
        if "SIZE" in self._extensions and self.transaction.size:
            command += f" SIZE={self.transaction.size}"
        if self.transaction.body == "8BITMIME":
            command += " BODY=8BITMIME"
        return command

    def rcpt_command(self, position: int) -> str:
        """RCPT for one recipient."""
        return f"RCPT TO:{path(self.transaction.recipients[position])}"

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


def _status(stage: Stage, reply: Reply) -> Status:
    if reply.positive:
        return "delivered"
    # RFC 5321 §4.5.3.1.10: some say 552 where they mean 452, too many recipients.
    too_many = stage == "rcpt" and reply.code == 552
    return "deferred" if reply.temporary or too_many else "failed"
