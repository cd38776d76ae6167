"""What one server session is and how much it may ask for."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Service: TypeAlias = Literal["smtp", "submission", "submissions"]


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """Bounds on one session; octets, counts and seconds.

    The engine has no clock: it is told the time and says by when it will have waited long enough
    (`Server.deadline`).
    """

    command_line: int = 2048  # RFC 5321 §4.5.3.1.4 asks for 512, extensions for some hundred more
    auth_line: int = 12288  # RFC 4954 §4
    errors: int = 10  # protocol errors in a session
    auth_failures: int = 3
    idle_commands: int = 100  # commands in a row that move no mail: NOOP, RSET, VRFY, …
    refused_recipients: int = 20  # refused for good and no message accepted since: address harvesting
    command_seconds: float = 300  # RFC 5321 §4.5.3.2.7
    data_seconds: float = 180  # RFC 5321 §4.5.3.2.5, between two pieces of the message
    handshake_seconds: float = 30
    session_seconds: float = 7200  # the whole session; a message that has begun may still come to its end
    message_seconds: float = 7200  # one message, from DATA or the first BDAT to its end
    slow_seconds: float = 300  # how long a message may come as slowly as it likes
    slowest: int = 256  # octets a second, on the average, after that; 0: any


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """One listener's rules.

    `smtp` (port 25) offers no AUTH; `submission` (587) and `submissions` (465) demand it (RFC 6409 §4.3),
    after TLS unless `require_tls_for_auth` is off. `offer_starttls` has no meaning for `submissions`, whose driver calls
    `tls_established` before `greeting`.

    What is offered must be carried on by the driver: `offer_smtputf8` MailFrom.utf8, `offer_dsn` MailFrom.dsn and
    RcptTo.dsn; CHUNKING asks nothing of it.
    """

    hostname: str
    service: Service = "smtp"
    max_size: int = 52_428_800  # octets of one message
    max_recipients: int = 1000  # of one message; RFC 5321 §4.5.3.1.8 asks for at least 100
    offer_starttls: bool = True
    require_tls_for_auth: bool = True
    offer_chunking: bool = True
    offer_smtputf8: bool = True
    offer_dsn: bool = True
    limits: ServerLimits = ServerLimits()

    @property
    def require_auth(self) -> bool:
        """Whether MAIL is only for authenticated clients."""
        return self.service != "smtp"
