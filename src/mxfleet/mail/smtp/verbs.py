"""One function a command: the session and the argument in; a reply, a challenge or a question out.

A verb that is missing here is not implemented and not advertised; a new extension is one more entry.
"""

import re
from collections.abc import Callable
from typing import Final, TypeAlias

from mxfleet.mail.reply import Reply
from mxfleet.mail.smtp import commands, replies, sasl
from mxfleet.mail.smtp.events import DataStart, Hello, MailFrom, Question, RcptTo, StartTls
from mxfleet.mail.smtp.reception import Chunk
from mxfleet.mail.smtp.replies import Breach, Refusal
from mxfleet.mail.smtp.session import Session

Outcome: TypeAlias = Reply | sasl.Challenge | Chunk | Question
Verb: TypeAlias = Callable[[Session, str], Outcome]

_WITH_ADDRESS = re.compile("(?:MAIL|RCPT|VRFY|EXPN) ", re.IGNORECASE)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def command_line(session: Session, octets: bytes) -> str:
    """The text of a line; trailing blanks are tolerated (RFC 5321 §4.1.1), all else must be printable.

    Addresses beyond ASCII may be in it where that is offered (RFC 6531 §3.3); whether here, its verb decides.
    """
    line = octets.decode("latin-1").rstrip(" ")
    if line.isascii():
        if line.isprintable():
            return line
    elif session.accepts_utf8 and _WITH_ADDRESS.match(line):
        try:
            line = octets.decode("utf-8").rstrip(" ")
        except UnicodeDecodeError as error:
            raise Refusal(replies.NOT_UTF8) from error
        if not _CONTROL.search(line):
            return line
    raise Refusal(replies.NOT_PRINTABLE)


def unknown(verb: str) -> Refusal:
    """Why a verb that is none of these is not taken."""
    if verb in _NOT_SMTP:
        return Breach(replies.NOT_SMTP)
    return Refusal(replies.NOT_IMPLEMENTED if verb in _OTHERS else replies.UNKNOWN_COMMAND)


def ehlo(session: Session, argument: str) -> Hello:
    """RFC 5321 §4.1.1.1; may come again at any time."""
    _count_idle(session)
    return commands.parse_hello(argument, extended=True)


def helo(session: Session, argument: str) -> Hello:
    """RFC 5321 §4.1.1.1, for clients without extensions."""
    _count_idle(session)
    return commands.parse_hello(argument, extended=False)


def starttls(session: Session, argument: str) -> StartTls:
    """RFC 3207 §4."""
    session.check_starttls()
    _no(argument)
    return StartTls()


def auth(session: Session, argument: str) -> sasl.Step:
    """RFC 4954 §4."""
    session.check_auth()
    if session.auth_failures >= session.config.limits.auth_failures:
        raise Breach(replies.TOO_MANY_FAILURES, "errors")
    name, space, initial = argument.partition(" ")
    mechanism = sasl.MECHANISMS.get(name.upper())
    if not name or (space and not initial):
        raise Refusal(replies.AUTH_SYNTAX)
    if mechanism is None:
        raise Refusal(replies.UNKNOWN_MECHANISM)
    if not space:
        return mechanism.respond(None)
    return mechanism.respond(b"" if initial == "=" else sasl.decode(initial))


def auth_response(mechanism: sasl.Mechanism, line: str) -> sasl.Step:
    """A line that answers a challenge; `*` gives up (RFC 4954 §4)."""
    if line == "*":
        raise Refusal(replies.AUTH_CANCELLED)
    return mechanism.respond(sasl.decode(line))


def mail(session: Session, argument: str) -> MailFrom:
    """RFC 5321 §4.1.1.2, RFC 1870 §6.1."""
    session.check_mail()
    session.chunks_failed = False
    parsed = commands.parse_mail(argument, session.mail_parameters)
    if parsed.size > session.config.max_size:
        raise Refusal(replies.TOO_BIG)
    return parsed


def rcpt(session: Session, argument: str) -> RcptTo:
    """RFC 5321 §4.1.1.3; the syntax is looked at first, so that a bad one is called what it is."""
    parsed = commands.parse_rcpt(argument, session.rcpt_parameters)
    session.check_rcpt()
    if not (argument.isascii() or session.utf8):
        raise Refusal(replies.UTF8_NOT_SAID)  # RFC 6531 §3.5
    return parsed


def data(session: Session, argument: str) -> DataStart:
    """RFC 5321 §4.1.1.4."""
    _no(argument)
    return session.check_data()


def bdat(session: Session, argument: str) -> Chunk:
    """RFC 3030 §2; whether it may come now is asked later, for its octets follow in any case."""
    if not session.config.offer_chunking:
        raise Breach(replies.NOT_IMPLEMENTED)  # they would be taken for commands
    chunk = commands.parse_chunk(argument)
    if chunk.size > 2 * session.config.max_size:
        raise Breach(replies.TOO_BIG)  # not even to be thrown away
    if session.mail is None or not session.recipients:
        _count_idle(session)
    return chunk


def rset(session: Session, argument: str) -> Reply:
    """RFC 5321 §4.1.1.5."""
    _count_idle(session)
    _no(argument)
    session.end_transaction()
    return replies.OK


def noop(session: Session, _argument: str) -> Reply:
    """RFC 5321 §4.1.1.9; an argument is ignored."""
    _count_idle(session)
    return replies.OK


def vrfy(session: Session, argument: str) -> Reply:
    """RFC 5321 §4.1.1.6, §7.3: we do not tell who exists."""
    _count_idle(session)
    if not argument:
        raise Refusal(replies.VRFY_SYNTAX)
    return replies.CANNOT_VERIFY


def help_(session: Session, _argument: str) -> Reply:
    """RFC 5321 §4.1.1.8."""
    _count_idle(session)
    return replies.HELP


def quit_(_session: Session, argument: str) -> Reply:
    """RFC 5321 §4.1.1.10."""
    _no(argument)
    raise Breach(replies.BYE, "quit")


VERBS: Final[dict[str, Verb]] = {
    "EHLO": ehlo,
    "HELO": helo,
    "STARTTLS": starttls,
    "AUTH": auth,
    "MAIL": mail,
    "RCPT": rcpt,
    "DATA": data,
    "BDAT": bdat,
    "RSET": rset,
    "NOOP": noop,
    "VRFY": vrfy,
    "HELP": help_,
    "QUIT": quit_,
}
_OTHERS: Final = frozenset({"EXPN", "ETRN", "TURN", "ATRN", "SEND", "SOML", "SAML", "BURL", "XCLIENT"})
# Browsers and proxies tricked into talking to a mail server; what follows their verb is not ours to run.
_NOT_SMTP: Final = frozenset({"GET", "POST", "PUT", "HEAD", "CONNECT", "OPTIONS", "DELETE", "PATCH"})


def _count_idle(session: Session) -> None:
    session.idle_commands += 1
    if session.idle_commands > session.config.limits.idle_commands:
        raise Breach(replies.TOO_MANY_IDLE, "errors")


def _no(argument: str) -> None:
    if argument:
        raise Refusal(replies.NO_ARGUMENT)
