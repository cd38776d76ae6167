"""What is accepted, against the grammar read as plainly as possible: messages, and the addresses in commands."""

import re

from hypothesis import example, given, settings
from hypothesis import strategies as st

from mxfleet.mail.smtp import events
from mxfleet.mail.smtp.events import Idle
from mxfleet.mail.smtp.limits import ServerConfig, ServerLimits
from mxfleet.mail.smtp.server import Server

PATIENT = ServerLimits(errors=10_000, idle_commands=10_000, refused_recipients=10_000)
HOSTILE = b"MAIL FROM:<evil@b.test>\r\nRCPT TO:<bob@corp.test>\r\nDATA\r\nevil\r\n.\r\n"
PIECES = st.lists(
    st.sampled_from(
        [b"text", b"\r\n", b".", b"\r", b"\n", b"\r\n.\r\n", b"\n.\n", b"\r\n.\n", b"\n.\r\n", b"\r.\r", b"\0", HOSTILE]
    ),
    max_size=12,
).map(b"".join)  # fmt: skip


class Listener:
    """Says yes to everything, and keeps what was accepted."""

    def __init__(self) -> None:
        self.server = Server(ServerConfig("mx.corp.test", limits=PATIENT))
        self.server.greeting()
        self.message = b""
        self.messages: list[bytes] = []
        self.paths: list[str] = []
        self.say(b"EHLO a.test\r\n")

    def say(self, octets: bytes, size: int = 1 << 20) -> bytes:
        for at in range(0, len(octets), size):
            self.server.receive(octets[at : at + size])
            while not isinstance(event := self.server.next_event(), Idle):
                self.take(event)
        return self.server.output()

    def take(self, event: events.Event) -> None:
        match event:
            case events.DataStart():
                self.message = b""
            case events.DataChunk(data):
                self.message += data
            case events.MessageComplete():
                self.messages.append(self.message)
            case events.MailFrom() | events.RcptTo():
                self.paths.append(str(event))
        if isinstance(event, events.Question):
            self.server.accept()


def plainly(octets: bytes) -> tuple[list[bytes], bool]:
    """Messages that RFC 5321 sees behind a 354, and whether all line ends were CRLF up to there."""
    line_ends = octets.replace(b"\r\n", b"")
    if b"\r" not in line_ends and b"\n" not in line_ends:
        wrong = len(octets)
    else:
        wrong = min(match.start() for match in re.finditer(rb"\r(?!\n)|(?<!\r)\n", octets))
    found = re.match(rb"(?:.*?\r\n)??\.\r\n", octets, re.DOTALL)
    if found is None or found.end() > wrong:
        return [], wrong == len(octets)
    lines = found[0][:-3].split(b"\r\n")[:-1]
    return [b"".join(line.removeprefix(b".") + b"\r\n" for line in lines)], True


@settings(deadline=None)
@given(PIECES, st.integers(1, 40))
@example(b"\n.\r\n" + HOSTILE, 100)
@example(b"text\r\n.\r" + HOSTILE, 1)
def test_a_message_is_accepted_only_where_the_plain_reading_has_one(octets: bytes, size: int) -> None:
    listener = Listener()
    listener.say(b"MAIL FROM:<a@b.test>\r\nRCPT TO:<alice@corp.test>\r\n")
    listener.say(b"DATA\r\n")
    listener.say(octets, size)
    wanted, _ = plainly(octets)
    assert listener.messages[:1] == wanted
    if not wanted:
        assert len(listener.paths) == 2, "nothing inside a message is a command"


# RFC 5321 §4.1.2 and §4.1.3, letter by letter; ASCII only.
ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]"
SUB_DOMAIN = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
DOMAIN = rf"{SUB_DOMAIN}(?:\.{SUB_DOMAIN})*"
LITERAL = r"\[(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}|(?i:IPv6):[0-9A-Fa-f:.]+)\]"
LOCAL = rf'(?:{ATEXT}+(?:\.{ATEXT}+)*|"(?:[ !#-\[\]-~]|\\[ -~])*")'
MAILBOX = rf"{LOCAL}@(?:{DOMAIN}|{LITERAL})"
PATH = re.compile(rf"<(?:@{DOMAIN}(?:,@{DOMAIN})*:)?{MAILBOX}>")
MAIL = re.compile(
    rf"MAIL FROM:(?:<>|{PATH.pattern})(?: +[A-Za-z0-9][A-Za-z0-9-]*(?:=[!-<>-~]+)?)*[ \t]*", re.I
)
RCPT = re.compile(
    rf"RCPT TO:(?:<postmaster>|{PATH.pattern})(?: +[A-Za-z0-9][A-Za-z0-9-]*(?:=[!-<>-~]+)?)*[ \t]*", re.I
)
WORDS = st.sampled_from(
    ["<", ">", "@", ".", ":", ",", '"', "\\", " ", "a", "b-c", "-", "_", "[", "]", "192.0.2.1", "IPv6:2001:db8::1",
     "corp.test", "alice@corp.test", "<alice@corp.test>", "<>", "postmaster", "@a.test:", "SIZE=1", "BODY=7BIT", "X",
     "=", "\t", "(c)", ";", "%", "\x7f", "\x01"]
)  # fmt: skip
NEARLY = st.lists(WORDS, max_size=9).map("".join)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(["MAIL FROM:", "RCPT TO:", "mail from:", "MAIL FROM: ", "RCPT TO: ", "MAIL  FROM:"]),
    NEARLY,
)
@example("MAIL FROM:", "<a@b.test>")
@example("RCPT TO:", '<"a\\"b"@[IPv6:2001:db8::1]>')
def test_no_command_is_accepted_that_the_grammar_forbids(verb: str, rest: str) -> None:
    listener = Listener()
    if verb.upper().startswith("RCPT"):
        listener.say(b"MAIL FROM:<a@b.test>\r\n")
    before = len(listener.paths)
    reply = listener.say(f"{verb}{rest}\r\n".encode())
    accepted = reply.startswith(b"250 ")
    assert accepted == (len(listener.paths) > before)
    if accepted:
        assert (RCPT if verb.upper().startswith("RCPT") else MAIL).fullmatch(verb + rest), verb + rest
    else:
        assert reply[:1] == b"5"


def test_the_grammar_of_this_test_knows_what_is_right() -> None:
    """Else the test above would forbid everything, and the engine accept nothing."""
    for line in (
        "MAIL FROM:<>",
        "MAIL FROM:<a@b.test> SIZE=5 BODY=8BITMIME",
        "RCPT TO:<Postmaster>",
        'RCPT TO:<"a b"@c.test>',
    ):
        assert (MAIL if line.startswith("MAIL") else RCPT).fullmatch(line)
        listener = Listener()
        listener.say(b"MAIL FROM:<a@b.test>\r\n" if line.startswith("RCPT") else b"")
        assert listener.say(f"{line}\r\n".encode()).startswith(b"250 "), line
