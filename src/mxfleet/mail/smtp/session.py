"""What a server session knows of its client, and what the client may do next (RFC 5321 §4.1.4)."""

from dataclasses import dataclass, field

from mxfleet.mail.reply import Reply
from mxfleet.mail.smtp import replies
from mxfleet.mail.smtp.events import Auth, DataStart, Hello, MailFrom, RcptTo, TlsInfo
from mxfleet.mail.smtp.limits import ServerConfig
from mxfleet.mail.smtp.replies import Refusal
from mxfleet.mail.smtp.sasl import MECHANISMS


@dataclass(slots=True)
class Session:
    """Facts of one connection; the engine writes them, everybody may read them."""

    config: ServerConfig
    hello: Hello | None = None
    tls: TlsInfo | None = None
    username: str | None = None  # whom AUTH proved
    mail: MailFrom | None = None
    recipients: list[RcptTo] = field(default_factory=list)  # those that were accepted
    errors: int = 0
    idle_commands: int = 0
    auth_failures: int = 0

    @property
    def protocol(self) -> str:
        """The word behind "with" in a Received header (RFC 3848)."""
        if self.hello is None or not self.hello.extended:
            return "SMTP"
        return "ESMTP" + ("S" if self.tls else "") + ("A" if self.username is not None else "")

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
        lines = ["PIPELINING", f"SIZE {self.config.max_size}", "8BITMIME", "ENHANCEDSTATUSCODES"]
        if self.offers_starttls:
            lines.append("STARTTLS")
        if self.offers_auth:
            lines.append("AUTH " + " ".join(MECHANISMS))
        return lines

    def end_transaction(self) -> bool:
        """Forget sender and recipients; whether there was something to forget."""
        begun, self.mail = self.mail is not None, None
        self.recipients = []
        return begun

    def learn(self, accepted: MailFrom | RcptTo | Auth) -> None:
        """What is so from now on, because it was accepted."""
        if isinstance(accepted, RcptTo):
            self.recipients.append(accepted)
        elif isinstance(accepted, MailFrom):
            self.mail = accepted
        else:
            self.username = accepted.username

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
        if len(self.recipients) >= self.config.max_recipients:
            raise Refusal(replies.TOO_MANY_RECIPIENTS)

    def check_data(self) -> DataStart:
        """May DATA come now?"""
        if self.mail is None:
            raise Refusal(replies.MAIL_FIRST)
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
