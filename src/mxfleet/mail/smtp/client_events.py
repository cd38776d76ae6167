"""What the client engine is told and what it reports."""

from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from mxfleet.mail.reply import Reply
from mxfleet.mail.smtp.delivery import Extensions, RecipientResult, Stage
from mxfleet.mail.smtp.events import Closed, StartTls

Protocol: TypeAlias = Literal["smtp", "lmtp"]
Tls: TypeAlias = Literal["none", "opportunistic", "required"]

LOST: Final = Reply(421, "4.4.2", "The connection was lost")
TIMED_OUT: Final = Reply(421, "4.4.2", "No answer in time")
NOT_SMTP: Final = Reply(451, "4.5.0", "The other side does not speak SMTP")
TLS_NOT_OFFERED: Final = Reply(450, "4.7.4", "TLS is required, and the other side does not offer it")
AUTH_NOT_OFFERED: Final = Reply(
    450, "4.7.4", "AUTH PLAIN or LOGIN inside TLS is required, and the other side does not offer it"
)
SHUTTING_DOWN: Final = Reply(421, "4.3.2", "We are shutting down")
BAD_MESSAGE: Final = Reply(554, "5.6.0", "The message has a bare CR or LF and cannot be sent")


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """One connection's rules; `hostname` is the name given with EHLO, and must be ours in DNS."""

    hostname: str
    protocol: Protocol = "smtp"
    tls: Tls = "opportunistic"
    username: str = ""
    password: str = field(default="", repr=False)
    chunking: bool = True  # BDAT where the other side offers it


@dataclass(frozen=True, slots=True)
class Ready:
    """A transaction may begin: `send` or `quit`."""

    extensions: Extensions


@dataclass(frozen=True, slots=True)
class BodyWanted:
    """The other side waits for the message: `body` as often as needed, then `end_body`."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of each recipient of the transaction, in order."""

    results: tuple[RecipientResult, ...]


@dataclass(frozen=True, slots=True)
class Failed:
    """No transaction is possible on this connection; `remote` says whose words the reply is."""

    stage: Stage
    reply: Reply
    remote: bool


ClientEvent: TypeAlias = StartTls | Ready | BodyWanted | Outcome | Failed | Closed
