"""What a server session knows of its client, and what the client may do next (RFC 5321 §4.1.4)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from mxfleet.mail.reply import Reply
from mxfleet.mail.smtp import replies
from mxfleet.mail.smtp.commands import NONE, RCPT_DSN, Check, mail_parameters
from mxfleet.mail.smtp.events import Auth, DataStart, Hello, MailFrom, RcptTo, TlsInfo
from mxfleet.mail.smtp.limits import ServerConfig
from mxfleet.mail.smtp.reception import AnyReception
from mxfleet.mail.smtp.replies import Refusal
from mxfleet.mail.smtp.sasl import MECHANISMS

LEARNED: Final = (MailFrom, RcptTo, Auth)  # what is so once it was accepted


@dataclass(slots=True)
class Session:
    """Facts of one connection; the engine writes them, everybody may read them."""

    config: ServerConfig
    hello: Hello | None = None
    tls: TlsInfo | None = None
    username: str | None = None  # whom AUTH proved
    mail: MailFrom | None = None
    recipients: list[RcptTo] = field(default_factory=list)  # those that were accepted
    mail_parameters: Mapping[str, Check] = field(
        default_factory=dict
    )  # what MAIL and RCPT may have behind their path
    rcpt_parameters: Mapping[str, Check] = field(default_factory=dict)
    reception: AnyReception | None = None  # while a message comes in, and between two BDATs
    chunks_failed: bool = (
        False  # what follows a failed BDAT, sent before its answer was seen, is no new error
    )
    errors: int = 0
    idle_commands: int = 0
    auth_failures: int = 0
    refused_recipients: int = 0  # since a message was last accepted

    @property
    def protocol(self) -> str:
        """The word behind "with" in a Received header (RFC 3848, RFC 6531 §3.7.3)."""
        if self.hello is None or not self.hello.extended:
            return "SMTP"
        word = "UTF8SMTP" if self.utf8 else "ESMTP"
        return word + ("S" if self.tls else "") + ("A" if self.username is not None else "")

    @property
    def utf8(self) -> bool:
        """Whether this is a transaction with SMTPUTF8: addresses, header and replies may be UTF-8 (RFC 6531)."""
        return self.mail is not None and self.mail.utf8

    @property
    def accepts_utf8(self) -> bool:
        """Whether a command may hold UTF-8 (RFC 6531 §3.1)."""
        return self.config.offer_smtputf8 and self.hello is not None and self.hello.extended

    @property
    def offers_starttls(self) -> bool:
        """Whether STARTTLS can be used now."""
        return self.tls is None and self.config.offer_starttls and self.config.service != "submissions"

    @property
    def offers_auth(self) -> bool:
        """Whether AUTH can be used now."""
        encrypted = self.tls is not None or not self.config.require_tls_for_auth
        return self.config.service != "smtp" and encrypted and self.username is None

    def welcome(self) -> Reply:
        """The reply to EHLO or HELO: the extensions that can be used now, nothing that is not there."""
        lines = [self.config.hostname, *(self._extensions() if self.hello and self.hello.extended else ())]
        return Reply(250, "", "\n".join(lines))

    def _extensions(self) -> list[str]:
        config = self.config
        lines = ["PIPELINING", f"SIZE {config.max_size}", "8BITMIME", "ENHANCEDSTATUSCODES"]
        lines += ["CHUNKING"] if config.offer_chunking else []
        lines += (
            ["SMTPUTF8"] if config.offer_smtputf8 else []
        )  # RFC 6531 §3.1: needs 8BITMIME, which is there
        lines += ["DSN"] if config.offer_dsn else []
        if self.offers_starttls:
            lines.append("STARTTLS")
        if self.offers_auth:
            lines.append("AUTH " + " ".join(MECHANISMS))
        return lines

    def end_transaction(self) -> bool:
        """Forget sender and recipients; whether there was something to forget."""
        begun, self.mail = self.mail is not None, None
        self.recipients = []
        self.reception = None
        return begun

    def learn(self, accepted: MailFrom | RcptTo | Auth) -> None:
        """What is so from now on, because it was accepted."""
        if isinstance(accepted, RcptTo):
            self.recipients.append(accepted)
        elif isinstance(accepted, MailFrom):
            self.mail = accepted
        else:
            self.username = accepted.username
            self._offer()

    def greet(self, hello: Hello) -> None:
        """Take an accepted EHLO or HELO: who speaks, and what may be said to us from now on."""
        self.hello = hello
        self._offer()

    def _offer(self) -> None:
        config, extended = self.config, self.hello is not None and self.hello.extended
        self.mail_parameters = self.rcpt_parameters = NONE
        if extended:
            auth = self.username is not None
            self.mail_parameters = mail_parameters(auth, config.offer_smtputf8, config.offer_dsn)
        if extended and config.offer_dsn:
            self.rcpt_parameters = RCPT_DSN

    def begin_tls(self, tls: TlsInfo) -> None:
        """Begin anew inside TLS: nothing that was said in the clear counts (RFC 3207 §4.2)."""
        self.hello = None
        self.username = None
        self.end_transaction()
        self.tls = tls

    def check_mail(self) -> None:
        """May MAIL come now?"""
        if self.hello is None:
            raise Refusal(replies.EHLO_FIRST)
        if self.config.require_auth and self.username is None:
            raise Refusal(replies.TLS_REQUIRED if self.offers_starttls else replies.AUTH_REQUIRED)
        if self.mail is not None:
            raise Refusal(replies.MAIL_AGAIN)

    def check_rcpt(self) -> None:
        """May RCPT come now?"""
        if self.mail is None:
            raise Refusal(replies.MAIL_FIRST)
        if self.reception is not None:
            raise Refusal(replies.AFTER_BDAT)
        if len(self.recipients) >= self.config.max_recipients:
            raise Refusal(replies.TOO_MANY_RECIPIENTS)

    def check_data(self) -> DataStart:
        """May DATA or the first BDAT come now?"""
        if self.mail is None:
            raise Refusal(replies.MAIL_FIRST)
        # RFC 3030 §2: DATA and BDAT are not for the same transaction, and RCPT comes before both.
        if self.reception is not None:
            raise Refusal(replies.AFTER_BDAT)
        if not self.recipients:
            raise Refusal(replies.NO_RECIPIENT)
        return DataStart(self.mail, tuple(self.recipients))

    def check_starttls(self) -> None:
        """May STARTTLS come now?"""
        if self.tls is not None:
            raise Refusal(replies.TLS_ALREADY)
        if not self.offers_starttls:
            raise Refusal(replies.NOT_IMPLEMENTED)
        if self.mail is not None:
            raise Refusal(replies.NOT_IN_TRANSACTION)

    def check_auth(self) -> None:
        """May AUTH come now? (RFC 4954 §4)"""
        if self.config.service == "smtp":
            raise Refusal(replies.NOT_IMPLEMENTED)
        if self.hello is None or not self.hello.extended:
            raise Refusal(replies.EHLO_FIRST)
        if self.username is not None:
            raise Refusal(replies.AUTH_ALREADY)
        if self.mail is not None:
            raise Refusal(replies.NOT_IN_TRANSACTION)
        if not self.offers_auth:
            raise Refusal(replies.ENCRYPTION_REQUIRED)
