"""How a client session opens: greeting, EHLO, STARTTLS and EHLO again, AUTH (RFC 5321 §3.1, §3.2)."""

import re
from dataclasses import dataclass, field
from typing import TypeAlias

from mxfleet.errors import SmtpError
from mxfleet.mail.reply import Reply
from mxfleet.mail.smtp import client_events as ours
from mxfleet.mail.smtp.client_events import ClientConfig, Failed, Ready
from mxfleet.mail.smtp.delivery import Extensions, Stage
from mxfleet.mail.smtp.events import StartTls, TlsInfo
from mxfleet.mail.smtp.sasl import encode

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


@dataclass(
    slots=True
)  # not frozen: that would take as long as all else of it, and there are several a message
class Step:
    """A command, and what its reply will be about; `position` is the recipient's."""

    stage: Stage
    line: str = field(default="", repr=False)  # AUTH has the password in it
    position: int = -1
    utf8: bool = False  # the other side takes addresses beyond ASCII

    def __post_init__(self) -> None:
        """One line, whatever it was put together from."""
        line = self.line
        if not (line.isascii() and line.isprintable()) and (not self.utf8 or _CONTROL.search(line)):
            raise SmtpError(f"{self.stage}: a command must be printable ASCII on one line")


Move: TypeAlias = Step | StartTls | Ready | Failed
"""What comes next: a command, the TLS handshake, or the end of the opening, good or bad."""


class Opening:
    """Each reply leads to the next move."""

    def __init__(self, config: ClientConfig) -> None:
        """Begin before the greeting."""
        self._config = config
        self._tls_refused = False
        self._authenticated = False
        self._responses: list[str] = []  # to what AUTH LOGIN asks for
        self.extensions: Extensions = {}
        self.tls: TlsInfo | None = None

    def hello(self) -> Step:
        """The first command, and again inside TLS (RFC 3207 §4.2)."""
        self.extensions = {}
        verb = "LHLO" if self._config.protocol == "lmtp" else "EHLO"
        return Step("hello", f"{verb} {self._config.hostname}")

    def take(self, step: Step, reply: Reply) -> Move:
        """The reply to a step of the opening, and the move that it leads to."""
        if step.stage == "greeting" and reply.code == 220:
            return self.hello()
        if step.stage == "hello" and reply.code == 250:
            self.extensions = {} if step.line.startswith("HELO") else _extensions(reply)
            return self._after_hello()
        if step.line.startswith("EHLO") and reply.permanent:
            # RFC 5321 §3.2: a host that does not know EHLO is asked with HELO.
            return Step("hello", f"HELO {self._config.hostname}")
        if step.stage == "starttls" and reply.code == 220:
            return StartTls()
        if step.stage == "starttls" and not reply.positive and self._config.tls == "opportunistic":
            self._tls_refused = True
            return self._after_hello()
        if step.stage == "auth" and reply.code == 235:
            self._authenticated = True
            return self._after_hello()
        if step.stage == "auth" and reply.code == 334 and self._responses:
            return Step("auth", self._responses.pop(0))
        if reply.positive:
            return Failed(
                step.stage, Reply(451, "4.5.0", f"The other side answered {reply.code}"), remote=False
            )
        return Failed(step.stage, reply, remote=True)

    def _after_hello(self) -> Move:
        config = self._config
        if self.tls is None and config.tls != "none" and not self._tls_refused:
            if "STARTTLS" in self.extensions:
                return Step("starttls", "STARTTLS")
            if config.tls == "required":
                return Failed("starttls", ours.TLS_NOT_OFFERED, remote=False)
        if config.username and not self._authenticated:
            return self._authenticate()
        return Ready(self.extensions)

    def _authenticate(self) -> Move:
        """RFC 4954 §4, RFC 4616; LOGIN for hosts that have nothing else; never in the clear."""
        username, password = self._config.username, self._config.password
        mechanisms = self.extensions.get("AUTH", "").upper().split() if self.tls is not None else []
        if "PLAIN" in mechanisms:
            return Step("auth", f"AUTH PLAIN {_base64(f'{chr(0)}{username}{chr(0)}{password}')}")
        if "LOGIN" in mechanisms:
            self._responses = [_base64(username), _base64(password)]
            return Step("auth", "AUTH LOGIN")
        return Failed("auth", ours.AUTH_NOT_OFFERED, remote=False)


def _base64(text: str) -> str:
    return encode(text.encode()).decode("ascii")


def _extensions(reply: Reply) -> Extensions:
    """The lines of an EHLO reply behind its first (RFC 5321 §4.1.1.1)."""
    words = (line.partition(" ") for line in reply.text.split("\n")[1:])
    return {keyword.upper(): parameters.strip() for keyword, _, parameters in words if keyword}
