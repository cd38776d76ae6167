"""Every file of tests/dialogues/server is played to the engine, in segments and octet by octet."""

from collections import defaultdict, deque
from pathlib import Path

import pytest

from mxfleet.mail.address import path as path_text
from mxfleet.mail.reply import Reply
from mxfleet.mail.smtp import events, replies
from mxfleet.mail.smtp.events import Event, Idle, TlsInfo
from mxfleet.mail.smtp.limits import ServerConfig, ServerLimits, Service
from mxfleet.mail.smtp.server import Server

DIALOGUES = Path(__file__).parents[3] / "dialogues" / "server"
FILES = sorted(DIALOGUES.glob("*.txt"))
SERVICES: dict[str, Service] = {"smtp": "smtp", "submission": "submission", "submissions": "submissions"}
LIMITS = {"errors", "idle_commands", "auth_failures", "refused_recipients", "command_line", "auth_line"}


def reply_of(words: str) -> Reply:
    code, enhanced, text = words.split(" ", 2)
    return Reply(int(code), enhanced, text)


def octets(escaped: str) -> bytes:
    return escaped.encode("latin-1").decode("unicode_escape").encode("latin-1")


def said(keyword: str, value: str) -> str:
    return f" {keyword}={value}" if value else ""


def told(event: Event) -> str:
    """An event as dialogues write it."""
    match event:
        case events.Hello(name, extended):
            return f"Hello {name} {'EHLO' if extended else 'HELO'}"
        case events.Auth(mechanism, username, _):
            return f"Auth {mechanism} {username}"
        case events.MailFrom(reverse_path, size, body, _, utf8, dsn):
            words = f"MailFrom {path_text(reverse_path)} size={size} {body}{' SMTPUTF8' if utf8 else ''}"
            return words + said("RET", dsn.ret) + said("ENVID", dsn.envid)
        case events.RcptTo(mailbox, _, dsn):
            return f"RcptTo {path_text(mailbox)}" + said("NOTIFY", dsn.notify) + said("ORCPT", dsn.orcpt)
        case events.DataStart(_, recipients):
            return f"DataStart {len(recipients)}"
        case events.MessageComplete(size):
            return f"MessageComplete {size}"
        case events.Refused(command, reply):
            return f"Refused {command} {reply}"
        case events.Closed(reason, detail):
            return f"Closed {reason} {detail}"
        case _:
            return type(event).__name__


class Stage:
    """The engine with a driver that says what the dialogue wants."""

    def __init__(self, settings: dict[str, str], *, single_octets: bool) -> None:
        self.single_octets = single_octets
        self.users = {settings["user"]} if "user" in settings else set()
        without = settings.get("without", "").split()
        limits = {name: int(value) for name, value in settings.items() if name in LIMITS}
        self.server = Server(
            ServerConfig(
                "mx.corp.test",
                service=SERVICES[settings.get("service", "smtp")],
                max_size=int(settings.get("max_size", 52_428_800)),
                max_recipients=int(settings.get("max_recipients", 1000)),
                offer_starttls=settings.get("starttls") != "no",
                require_tls_for_auth=settings.get("plain_auth") != "yes",
                offer_chunking="CHUNKING" not in without,
                offer_smtputf8="SMTPUTF8" not in without,
                offer_dsn="DSN" not in without,
                limits=ServerLimits(**limits),
            )
        )
        if "tls" in settings:
            self.server.tls_established(TlsInfo(settings["tls"], "TLS_AES_256_GCM_SHA384"))
        self.answers: dict[str, deque[Reply]] = defaultdict(deque)
        self.pending = b""
        self.replies = ""
        self.events: list[str] = []
        self.message = b""
        self.accepted: deque[bytes] = deque()
        self.closed = ""
        self.server.greeting()
        self.pump()

    def deliver(self) -> None:
        data, self.pending = self.pending, b""
        size = 1 if self.single_octets else max(1, len(data))
        for at in range(0, len(data), size):
            self.server.receive(data[at : at + size])
            self.pump()

    def pump(self) -> None:
        while not isinstance(event := self.server.next_event(), Idle):
            self.take(event)
        self.replies += self.server.output().decode("utf-8")

    def take(self, event: Event) -> None:
        self.events.append(told(event))
        if isinstance(event, events.Question):
            self.respond(event)
        elif isinstance(event, events.DataChunk):
            assert event.data
            self.message += event.data
        elif isinstance(event, events.Closed):
            self.closed = event.reason

    def respond(self, event: events.Question) -> None:
        answers = self.answers[type(event).__name__]
        reply = answers.popleft() if answers else None
        if (
            isinstance(event, events.Auth)
            and self.users
            and f"{event.username} {event.password}" not in self.users
        ):
            reply = replies.BAD_CREDENTIALS
        if isinstance(event, events.DataStart):
            self.message = b""
        if isinstance(event, events.MessageComplete):
            assert len(self.message) == event.size
            if reply is None or reply.positive:
                self.accepted.append(self.message)
        self.server.accept() if reply is None else self.server.answer(reply)

    def act(self, action: str) -> None:
        verb, _, rest = action.partition(" ")
        match verb:
            case "tls":
                self.server.tls_established(TlsInfo("TLSv1.3", "TLS_AES_256_GCM_SHA384"))
            case "timeout":
                self.server.timeout()
            case "shutdown":
                self.server.shutdown()
            case "end":
                self.server.receive(b"")
            case "fail":
                self.server.fail_message(reply_of(rest.removeprefix("message ")))
            case _:
                raise AssertionError(f"unknown action {action}")
        self.pump()

    def run(self, line: str) -> None:
        mark, text = line[:2], line[3:]
        if mark == "C:":
            self.pending += text.encode("utf-8") + b"\r\n"
        elif mark == "C!":
            self.pending += octets(text)
        elif mark == "--" and text.startswith("answer "):
            question, words = text.removeprefix("answer ").split(" ", 1)
            self.answers[question].append(reply_of(words))
        else:
            self.deliver()
            self.expect(mark, text)

    def expect(self, mark: str, text: str) -> None:
        if mark == "--":
            self.act(text)
        elif mark == "S:":
            got, _, self.replies = self.replies.partition("\r\n")
            assert got == text
        elif mark == "E:":
            while (got := self.events.pop(0)) != text and not got.startswith(text + " "):
                assert self.events, f"no event {text}"
        elif mark == "M:":
            assert self.accepted.popleft() == octets(text)
        elif mark == "==":
            assert f"closed {self.closed}" == text
            self.closed = ""
        else:
            raise AssertionError(f"not a dialogue line: {mark} {text}")


def play(file: Path, *, single_octets: bool) -> None:
    comment, _, dialogue = file.read_text().partition("\n\n")
    assert comment.startswith("# ")
    settings = dict(line.split(": ", 1) for line in comment.splitlines() if not line.startswith("#"))
    if settings.get("segments") == "whole" and single_octets:
        return
    stage = Stage(settings, single_octets=single_octets)
    for number, line in enumerate(dialogue.splitlines(), 1):
        try:
            stage.run(line)
        except (AssertionError, IndexError) as error:
            raise AssertionError(f"{file.name}, dialogue line {number}: {line}\n{error}") from error
    stage.deliver()
    assert stage.replies == "", "replies that the dialogue does not have"
    assert not stage.accepted, "messages that the dialogue does not accept"
    assert stage.closed == "", "the session is closed and the dialogue does not say so"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_server_speaks_as_the_dialogue_says(file: Path) -> None:
    play(file, single_octets=False)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_server_speaks_the_same_when_every_octet_comes_alone(file: Path) -> None:
    play(file, single_octets=True)


def test_there_are_dialogues() -> None:
    assert len(FILES) >= 60
