"""A real mxd on loopback: its files, its process, its clients and the hosts that it delivers to."""

import contextlib
import datetime
import http.client
import json
import os
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.x509.oid import NameOID

from mxfleet.mxd import asking, settings

PASSWORD = "correct horse"


@dataclass
class Workshop:
    """Keys and certificates, made once for all tests."""

    directory: Path
    rsa_key: Path
    ed25519_key: Path
    certificates: dict[str, tuple[Path, Path]]
    password_hash: str


def write_key(path: Path, key: Any) -> Path:
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return path


def write_certificate(directory: Path, name: str) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    chain = directory / f"{name}.pem"
    chain.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return chain, write_key(directory / f"{name}.key", key)


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    directory = tmp_path_factory.mktemp("workshop")
    derive = Argon2id(salt=os.urandom(16), length=32, iterations=1, lanes=1, memory_cost=64)
    return Workshop(
        directory,
        write_key(directory / "rsa.pem", rsa.generate_private_key(65537, 2048)),
        write_key(directory / "ed25519.pem", ed25519.Ed25519PrivateKey.generate()),
        {name: write_certificate(directory, name) for name in ("mx.corp.test", "submit.corp.test")},
        derive.derive_phc_encoded(PASSWORD.encode()),
    )


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@dataclass
class Service:
    """One mxd: settings that a test may change before `start`, and the running process."""

    directory: Path
    settings: dict[str, Any]
    ports: dict[str, int]
    process: subprocess.Popen[bytes] | None = None
    logs: list[dict[str, Any]] = field(default_factory=list)

    @property
    def path(self) -> Path:
        return self.directory / "mxd.toml"

    def write(self) -> None:
        self.path.write_text(to_toml(self.settings))
        tomllib.loads(self.path.read_text())

    def start(self) -> None:
        self.write()
        (self.directory / "run" / "digest").unlink(missing_ok=True)
        listen = [f"--listen={name}=127.0.0.1:{port}" for name, port in self.ports.items()]
        with (self.directory / "log").open("ab") as log:
            command = [sys.executable, "-m", "mxfleet.mxd", "--settings", str(self.path), "serve", *listen]
            self.process = subprocess.Popen(command, stderr=log, start_new_session=True)
        self.wait(lambda: (self.directory / "run" / "digest").exists())

    def wait(self, condition: Callable[[], bool], seconds: float = 30.0) -> None:
        until = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > until or (self.process and self.process.poll() is not None):
                pytest.fail(f"mxd: {(self.directory / 'log').read_text()[-3000:]}")
            time.sleep(0.01)

    def log(self, event: str = "") -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in (self.directory / "log").read_text().splitlines()]
        return [line for line in lines if not event or line["event"] == event]

    def mxd(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "mxfleet.mxd", "--settings", str(self.path), *arguments]
        return subprocess.run(command, check=False, capture_output=True, text=True)

    def waiting(self) -> int:
        """Messages in the queue, asked as `mxd queue summary` asks."""
        return asking.summary(settings.read(self.path)).messages

    def json(self, *arguments: str) -> Any:
        done = self.mxd(*arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def get(self, path: str, *, decode: bool = True) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.ports["health"], timeout=5)
        with contextlib.closing(connection):
            connection.request("GET", path)
            answer = connection.getresponse()
            text = answer.read().decode()
            return answer.status, json.loads(text) if decode else text

    def children(self) -> list[int]:
        assert self.process
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in listed.split()]

    def kill(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)

    def terminate(self) -> None:
        assert self.process
        self.process.send_signal(signal.SIGTERM)

    KILL = signal.SIGKILL

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        if self.process is None or self.process.poll() is not None:
            return 0
        if number == signal.SIGKILL:
            os.killpg(self.process.pid, number)
            self.process.wait(10)
            return 0
        else:
            self.process.send_signal(number)
        return self.process.wait(40)


def to_toml(table: dict[str, Any], prefix: str = "") -> str:
    plain = [f"{k} = {json.dumps(v)}" for k, v in table.items() if not is_table(v)]
    text = "\n".join(plain) + "\n"
    for key, value in table.items():
        name = prefix + key
        if isinstance(value, dict):
            text += f"[{name}]\n" + to_toml(value, f"{name}.")
        elif is_table(value):
            text += "".join(f"[[{name}]]\n" + to_toml(item, f"{name}.") for item in value)
    return text


def is_table(value: object) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and bool(value) and isinstance(value[0], dict))


@pytest.fixture
def service(tmp_path: Path, workshop: Workshop) -> Iterator[Service]:
    """A service of this test's own, not started."""
    made = make_service(tmp_path, workshop)
    yield made
    assert made.stop() == 0, (tmp_path / "log").read_text()[-3000:]


def make_service(tmp_path: Path, workshop: Workshop) -> Service:
    ports = dict(zip(("smtp", "submission", "submissions", "health"), free_ports(4), strict=True))
    (tmp_path / "run").mkdir()
    accounts = tmp_path / "accounts.toml"
    accounts.write_text(
        to_toml(
            {
                "account": [
                    {"address": "alice@corp.test", "hash": workshop.password_hash, "also": ["info@corp.test"]}
                ]
            }
        )
    )
    certificates = [
        {"name": name, "chain": str(chain), "key": str(key)}
        for name, (chain, key) in workshop.certificates.items()
    ]
    table = {
        "node": {"name": "mx1", "hostname": "mx1.corp.test", "release": "0", "address4": "127.0.0.1"},
        "service": {
            "hostname": "mx.corp.test",
            "submission_hostname": "submit.corp.test",
            "postmaster": "alice@corp.test",
            "workers": 1,
            "sessions_per_address": 500,
        },
        "retry": {"first": 1, "longest": 2, "lifetime": 20},
        "paths": {
            "spool": str(tmp_path / "spool.sqlite"),
            "runtime": str(tmp_path / "run"),
            "accounts": str(accounts),
        },
        "domain": [
            {
                "name": "corp.test",
                "recipients": ["alice", "bob"],
                "route": {"kind": "lmtp", "host": "127.0.0.1", "port": 1},
            }
        ],
        "certificate": certificates,
        "dkim": [
            {"domain": "corp.test", "selector": "r1", "algorithm": "rsa", "key": str(workshop.rsa_key)},
            {
                "domain": "corp.test",
                "selector": "e1",
                "algorithm": "ed25519",
                "key": str(workshop.ed25519_key),
            },
        ],
    }
    return Service(tmp_path, table, ports)


class Sink(socketserver.ThreadingTCPServer):
    """A host that takes mail by LMTP or SMTP and remembers it; `replies` overrides what it says to a line or verb."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, *, lmtp: bool) -> None:
        super().__init__(("0.0.0.0", 0), SinkSession)
        self.lmtp = lmtp
        self.hang = False  # accepts, then silence
        self.patience = 30.0  # seconds of silence
        self.mute = False  # no answer to the message
        self.connections = 0
        self.messages: list[tuple[str, list[str], bytes]] = []
        self.replies: dict[str, str] = {}
        self.news = threading.Condition()
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def wait(self, condition: Callable[[], bool], seconds: float = 30.0) -> None:
        with self.news:
            assert self.news.wait_for(condition, seconds), self.messages

    def wait_for(self, text: bytes, seconds: float = 30.0) -> tuple[str, list[str], bytes]:
        """The message that contains this."""
        self.wait(lambda: any(text in body for _, _, body in self.messages), seconds)
        return next(message for message in self.messages if text in message[2])


class SinkSession(socketserver.StreamRequestHandler):
    server: Sink

    def handle(self) -> None:
        with self.server.news:
            self.server.connections += 1
            self.server.news.notify_all()
        if self.server.hang:
            time.sleep(self.server.patience)
            return
        with contextlib.suppress(ConnectionError):
            self.talk()

    def talk(self) -> None:
        self.say("220 sink")
        sender, recipients = "", list[str]()
        while line := self.rfile.readline():
            text = line.decode().strip()
            verb = text.split()[0].upper()
            reply = self.server.replies.get(text) or self.server.replies.get(verb)
            if reply:
                self.say(reply)
            elif verb == "MAIL":
                sender, recipients = text, []
                self.say("250 2.1.0 ok")
            elif verb == "RCPT":
                recipients.append(text)
                self.say("250 2.1.5 ok")
            elif verb == "DATA":
                self.take(sender, recipients)
            else:
                self.say(ANSWERS.get(verb, "250 ok"))

    def take(self, sender: str, recipients: list[str]) -> None:
        self.say("354 go")
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line[1:] if line.startswith(b".") else line)
        with self.server.news:
            self.server.messages.append((sender, recipients, b"".join(lines)))
            self.server.news.notify_all()
        if self.server.mute:
            time.sleep(30)
        for _ in recipients if self.server.lmtp else [0]:
            self.say(self.server.replies.get("message", "250 2.0.0 kept"))

    def say(self, text: str) -> None:
        self.wfile.write(text.encode() + b"\r\n")


HELLO = "250-sink\r\n250-PIPELINING\r\n250 8BITMIME"
ANSWERS = {"EHLO": HELLO, "LHLO": HELLO, "QUIT": "221 bye"}


@pytest.fixture
def make_sink() -> Iterator[Callable[..., Sink]]:
    made: list[Sink] = []

    def make(*, lmtp: bool = True) -> Sink:
        made.append(Sink(lmtp=lmtp))
        return made[-1]

    yield make
    for sink in made:
        sink.shutdown()
        sink.server_close()


@pytest.fixture(scope="session")
def mailbox_server() -> Iterator[Sink]:
    sink = Sink(lmtp=True)
    yield sink
    sink.shutdown()
    sink.server_close()


@pytest.fixture(scope="session")
def running(
    tmp_path_factory: pytest.TempPathFactory, workshop: Workshop, mailbox_server: Sink
) -> Iterator[Service]:
    """A service that tests share and do not harm; corp.test is delivered to `mailbox_server`."""
    made = make_service(tmp_path_factory.mktemp("running"), workshop)
    made.settings["domain"][0]["route"]["port"] = mailbox_server.port
    made.settings["service"]["workers"] = 2
    try:
        made.start()
        yield made
    finally:
        code = made.stop()
    assert code == 0, (made.directory / "log").read_text()[-3000:]
