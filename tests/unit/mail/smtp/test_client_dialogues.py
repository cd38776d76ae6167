"""Every file of tests/dialogues/client is played to the client engine, in segments and octet by octet."""

from pathlib import Path

import pytest

from mxfleet.mail.address import parse_mailbox
from mxfleet.mail.smtp.client import Client, ClientConfig, Failed, Outcome, Transaction
from mxfleet.mail.smtp.client_events import ClientEvent
from mxfleet.mail.smtp.delivery import RecipientResult
from mxfleet.mail.smtp.events import Closed, Idle, TlsInfo
from mxfleet.mail.smtp.notification import MailDsn, RcptDsn

DIALOGUES = Path(__file__).parents[3] / "dialogues" / "client"
FILES = sorted(DIALOGUES.glob("*.txt"))


def octets(escaped: str) -> bytes:
    return escaped.encode("latin-1").decode("unicode_escape").encode("latin-1")


def told_result(result: RecipientResult) -> str:
    marks = (" local" if not result.remote else "") + (" doubtful" if result.doubtful else "")
    return f"{result.recipient} {result.status} {result.stage} {result.reply}{marks}"


def told(event: ClientEvent) -> list[str]:
    """An event as dialogues write it; an outcome is a line for each recipient."""
    match event:
        case Outcome(results):
            return [told_result(result) for result in results]
        case Failed(stage, reply, remote):
            return [f"Failed {stage} {reply}{'' if remote else ' local'}"]
        case Closed():
            return []
        case _:
            return [type(event).__name__]


class Stage:
    """The engine, its events in words, and its output."""

    def __init__(self, settings: dict[str, str], *, single_octets: bool) -> None:
        username, _, password = settings.get("user", "").partition(" ")
        self.client = Client(
            ClientConfig(
                "mx1.corp.test",
                protocol="lmtp" if settings.get("protocol") == "lmtp" else "smtp",
                tls="required" if settings.get("tls") == "required" else "opportunistic",
                chunking=settings.get("chunking") != "no",
                username=username,
                password=password,
            )
        )
        self.single_octets = single_octets
        self.pending = b""
        self.sent = ""
        self.events: list[str] = []
        self.closed = ""

    def deliver(self) -> None:
        data, self.pending = self.pending, b""
        size = 1 if self.single_octets else max(1, len(data))
        for at in range(0, len(data), size):
            self.client.receive(data[at : at + size])
        self.pump()

    def pump(self) -> None:
        while not isinstance(event := self.client.next_event(), Idle):
            self.events += told(event)
            if isinstance(event, Closed):
                self.closed = event.reason
        self.sent += self.client.output().decode("utf-8")

    def act(self, action: str) -> None:
        verb, _, rest = action.partition(" ")
        match verb:
            case "send":
                sender, recipients, *more = rest.split(" ")
                size = int(more[0]) if more else 0
                wishes = dict(word.split("=", 1) for word in more if "=" in word)
                mailboxes = tuple(map(parse_mailbox, recipients.split(",")))
                wish = RcptDsn(wishes.get("NOTIFY", ""), wishes.get("ORCPT", ""))
                self.client.send(
                    Transaction(
                        None if sender == "<>" else parse_mailbox(sender),
                        mailboxes,
                        size,
                        "8BITMIME" if "8bit" in more else "7BIT",
                        "utf8" in more,
                        MailDsn(wishes.get("RET", ""), wishes.get("ENVID", "")),
                        tuple(wish for _ in mailboxes) if wish != RcptDsn() else (),
                    )
                )
            case "tls":
                self.client.tls_established(TlsInfo("TLSv1.3", "TLS_AES_256_GCM_SHA384"))
            case "body":
                data = octets(rest)
                size = 1 if self.single_octets else max(1, len(data))
                for at in range(0, len(data), size):
                    self.client.body(data[at : at + size])
            case "done":
                self.client.end_body()
            case "quit":
                self.client.quit()
            case "timeout":
                self.client.timeout()
            case "abort":
                self.client.abort()
            case "end":
                self.client.receive(b"")
            case "expects":
                assert self.client.expects == rest
            case _:
                raise AssertionError(f"unknown action {action}")
        self.pump()

    def run(self, line: str) -> None:
        mark, text = line[:2], line[3:]
        if mark == "S:":
            self.pending += text.encode("ascii") + b"\r\n"
        elif mark == "S!":
            self.pending += octets(text)
        else:
            self.deliver()
            self.expect(mark, text)

    def expect(self, mark: str, text: str) -> None:
        if mark == "--":
            self.act(text)
        elif mark == "C:":
            got, _, self.sent = self.sent.partition("\r\n")
            assert got == text
        elif mark == "E:":
            assert self.events.pop(0) == text
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
    assert stage.sent == "", "commands that the dialogue does not have"
    assert stage.events == [], "events that the dialogue does not have"
    assert stage.closed == "", "the session is closed and the dialogue does not say so"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_client_speaks_as_the_dialogue_says(file: Path) -> None:
    play(file, single_octets=False)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_client_speaks_the_same_when_every_octet_comes_alone(file: Path) -> None:
    play(file, single_octets=True)


def test_there_are_dialogues() -> None:
    assert len(FILES) >= 20
