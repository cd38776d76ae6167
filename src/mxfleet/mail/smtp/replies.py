"""Every reply that the server engine gives by itself, in one table (RFC 5321 §4.2.3, RFC 3463, RFC 5248)."""

from typing import Final

from mxfleet.mail.reply import Reply
from mxfleet.mail.smtp.events import CloseReason

OK: Final = Reply(250, "2.0.0", "OK")
SENDER_OK: Final = Reply(250, "2.1.0", "Sender OK")
RECIPIENT_OK: Final = Reply(250, "2.1.5", "Recipient OK")
SEND_DATA: Final = Reply(354, "", "End data with <CR><LF>.<CR><LF>")
CHUNK_OK: Final = Reply(250, "2.0.0", "Chunk received")
ACCEPTED: Final = Reply(250, "2.6.0", "Message accepted")
READY_FOR_TLS: Final = Reply(220, "2.0.0", "Ready to start TLS")
AUTHENTICATED: Final = Reply(235, "2.7.0", "Authentication successful")
BYE: Final = Reply(221, "2.0.0", "Bye")
CANNOT_VERIFY: Final = Reply(252, "2.0.0", "Cannot verify; will accept a message and attempt delivery")
HELP: Final = Reply(214, "2.0.0", "RFC 5321: EHLO HELO MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT")

TIMED_OUT: Final = Reply(421, "4.4.2", "Timed out, closing the connection")
SHUTTING_DOWN: Final = Reply(421, "4.3.2", "Shutting down, try again")
TOO_MANY_ERRORS: Final = Reply(421, "4.7.0", "Too many errors, closing the connection")
TOO_MANY_IDLE: Final = Reply(421, "4.7.0", "Too many commands without mail, closing the connection")
TOO_MANY_FAILURES: Final = Reply(421, "4.7.0", "Too many failed logins, closing the connection")
TOO_MANY_REFUSED: Final = Reply(421, "4.7.0", "Too many recipients were refused, closing the connection")
TOO_MANY_RECIPIENTS: Final = Reply(452, "4.5.3", "Too many recipients")

LINE_TOO_LONG: Final = Reply(500, "5.5.2", "Line too long")
NOT_PRINTABLE: Final = Reply(500, "5.5.2", "Commands are printable ASCII")
NOT_UTF8: Final = Reply(500, "5.5.2", "Not UTF-8")
UNKNOWN_COMMAND: Final = Reply(500, "5.5.1", "Unknown command")
NOT_IMPLEMENTED: Final = Reply(502, "5.5.1", "Command not implemented")
BAD_COMMAND_LINE: Final = Reply(500, "5.5.2", "Commands end in CRLF; bare CR or LF is not accepted")
BAD_CHUNK_LINE: Final = Reply(550, "5.6.0", "Lines end in CRLF; bare CR or LF is not accepted")
BAD_DATA_LINE: Final = Reply(550, "5.5.2", "Lines end in CRLF; bare CR or LF is not accepted")
NOT_SMTP: Final = Reply(554, "5.5.1", "This is an SMTP server")
SPOKE_EARLY: Final = Reply(
    554, "5.5.0", "Commands sent before the answer to the last one (RFC 2920 section 3.1)"
)
SPOKE_BEFORE_TLS: Final = Reply(554, "5.5.0", "Plain text sent after STARTTLS (RFC 3207 section 4.2)")

NO_ARGUMENT: Final = Reply(501, "5.5.4", "This command takes no argument")
HELO_ARGUMENT: Final = Reply(501, "5.5.4", "Give your domain name or address literal")
MAIL_SYNTAX: Final = Reply(501, "5.5.2", "Syntax: MAIL FROM:<address> [KEYWORD=value ...]")
RCPT_SYNTAX: Final = Reply(501, "5.5.2", "Syntax: RCPT TO:<address> [KEYWORD=value ...]")
AUTH_SYNTAX: Final = Reply(501, "5.5.4", "Syntax: AUTH mechanism [initial-response]")
BDAT_SYNTAX: Final = Reply(501, "5.5.4", "Syntax: BDAT size [LAST]; closing the connection")
VRFY_SYNTAX: Final = Reply(501, "5.5.4", "Syntax: VRFY address")
AUTH_ENCODING: Final = Reply(501, "5.5.2", "Response is not what the mechanism asks for")
AUTH_CANCELLED: Final = Reply(501, "5.7.0", "Authentication cancelled")

EHLO_FIRST: Final = Reply(503, "5.5.1", "Send EHLO or HELO first")
MAIL_FIRST: Final = Reply(503, "5.5.1", "Send MAIL first")
MAIL_AGAIN: Final = Reply(503, "5.5.1", "A sender is given already")
NO_RECIPIENT: Final = Reply(503, "5.5.1", "No recipient was accepted")
AFTER_BDAT: Final = Reply(503, "5.5.1", "Only BDAT or RSET may follow BDAT (RFC 3030 section 2)")
TLS_ALREADY: Final = Reply(503, "5.5.1", "TLS is in use already")
AUTH_ALREADY: Final = Reply(503, "5.5.1", "Authenticated already")
NOT_IN_TRANSACTION: Final = Reply(503, "5.5.1", "Not during a mail transaction")
UNKNOWN_MECHANISM: Final = Reply(504, "5.5.4", "Unknown authentication mechanism")
AUTH_REQUIRED: Final = Reply(530, "5.7.0", "Authentication required")
TLS_REQUIRED: Final = Reply(530, "5.7.0", "Send STARTTLS first")
OTHER_IDENTITY: Final = Reply(535, "5.7.8", "Acting for another identity is not allowed")
BAD_CREDENTIALS: Final = Reply(535, "5.7.8", "Authentication credentials invalid")
ENCRYPTION_REQUIRED: Final = Reply(
    538, "5.7.11", "Encryption required for authentication; send STARTTLS first"
)
TOO_BIG: Final = Reply(552, "5.3.4", "Message is larger than this server accepts")
UNKNOWN_PARAMETER: Final = Reply(555, "5.5.4", "Parameter not recognized")
BAD_PARAMETER: Final = Reply(501, "5.5.4", "Parameter has no such value")
REPEATED_PARAMETER: Final = Reply(501, "5.5.4", "Parameter given twice")
# RFC 6531 §3.5; X.6.7 is RFC 5248's "Non-ASCII addresses not permitted for that sender/recipient".
UTF8_NOT_SAID: Final = Reply(553, "5.6.7", "An address beyond ASCII needs SMTPUTF8 with MAIL")
BAD_SENDER: Final = Reply(501, "5.1.7", "Bad sender address syntax")
BAD_RECIPIENT: Final = Reply(501, "5.1.3", "Bad recipient address syntax")


class Refusal(Exception):
    """A command is refused with this reply; the session goes on."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(str(reply))
        self.reply = reply


class Breach(Refusal):
    """The session ends with this reply."""

    def __init__(self, reply: Reply, reason: CloseReason = "protocol") -> None:
        super().__init__(reply)
        self.reason: CloseReason = reason
