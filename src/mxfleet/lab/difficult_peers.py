"""Mail hosts that are difficult, each at an address of its own: what `world` runs beside Postfix.

`python3 difficult_peers.py FILE`: the file is a JSON list of hosts (see `Host`). It runs in a guest, so it knows the
standard library only. Each line on standard output is JSON, and is the peers' log; each message that is taken is a
file below `keep`.
"""

import contextlib
import json
import socket
import socketserver
import ssl
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

GREY_SECONDS = 3.0
SIZE = 10_000_000
HELLO = ("PIPELINING", "SIZE 10000000", "8BITMIME")


@dataclass
class Host:
    """One host; `behaviour` is what is wrong with it, "" for nothing.

    `busy`: 451 to every RCPT. `firm`: 550 to every RCPT. `grey`: 451 to a sender and recipient seen for the first
    time, until three seconds later. `drops`: goes away behind the final dot, having kept the message, the first
    time. `garbled`: says yes to STARTTLS and then no TLS. `bare`: offers no STARTTLS. `silent`: says nothing.
    """

    name: str
    address: str
    behaviour: str = ""
    chain: str = ""
    key: str = ""
    keep: str = ""
    port: int = 25
    seen: dict[tuple[str, str], float] = field(default_factory=dict)
    taken: Counter[bytes] = field(default_factory=Counter)

    @property
    def context(self) -> ssl.SSLContext | None:
        """How it speaks TLS."""
        if not self.chain:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain, self.key)
        return context


class Peer(socketserver.ThreadingTCPServer):
    """The listener of one host."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, host: Host) -> None:
        self.host = host
        self.address_family = socket.AF_INET6 if ":" in host.address else socket.AF_INET
        super().__init__((host.address, host.port), Talk)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002  (socketserver's)
        """A client that went away is no reason for a traceback."""
        self.log("a session broke off", problem=repr(sys.exc_info()[1]))

    def log(self, event: str, **fields: object) -> None:
        """One line."""
        sys.stdout.write(json.dumps({"host": self.host.name, "event": event, **fields}) + "\n")
        sys.stdout.flush()


class Talk(socketserver.StreamRequestHandler):
    """One session."""

    server: Peer

    def handle(self) -> None:
        """From the greeting to the end."""
        self.tls, self.sender = "", ""
        self.recipients: list[str] = []
        if self.server.host.behaviour == "silent":
            time.sleep(600)
            return
        with contextlib.suppress(ConnectionError):
            self.say(f"220 {self.server.host.name} ESMTP")
            while (line := self.rfile.readline(2000)) and self.answer(line.decode("latin-1").strip()):
                pass

    def finish(self) -> None:
        """Whatever the session ended as."""
        with contextlib.suppress(OSError):
            super().finish()
        self.connection.close()

    def answer(self, line: str) -> bool:
        """The reply to a command; whether the session goes on."""
        verb = line.split(" ")[0].upper()
        if verb in ("EHLO", "HELO"):
            return self.hello(line)
        if verb == "STARTTLS":
            return self.start_tls()
        if verb == "MAIL":
            self.sender, self.recipients = line, []
            return self.say("250 2.1.0 ok")
        if verb == "RCPT":
            return self.recipient(line)
        if verb == "DATA":
            return self.data()
        if verb == "QUIT":
            self.say("221 2.0.0 bye")
            return False
        return self.say("250 2.0.0 ok" if verb in ("RSET", "NOOP") else "502 5.5.1 not here")

    def hello(self, line: str) -> bool:
        """What is offered."""
        host = self.server.host
        offered = [*HELLO, "ENHANCEDSTATUSCODES"]
        if (host.context or host.behaviour == "garbled") and not self.tls and host.behaviour != "bare":
            offered.append("STARTTLS")
        self.server.log("hello", client=self.client_address[0], line=line, tls=self.tls)
        lines = [host.name, *offered]
        return self.say("\r\n".join(f"250{' ' if last else '-'}{word}" for word, last in marked(lines)))

    def start_tls(self) -> bool:
        """The handshake, or what passes for one."""
        self.say("220 2.0.0 go ahead")
        context = self.server.host.context
        if context is None:
            self.connection.recv(1)  # the client has begun
            self.wfile.write(b"this is not TLS at all\r\n" * 20)
            self.server.log("no TLS in answer to STARTTLS", client=self.client_address[0])
            return False
        try:
            secured = context.wrap_socket(self.connection, server_side=True)
        except (ssl.SSLError, OSError) as error:
            self.server.log("handshake failed", client=self.client_address[0], problem=str(error))
            return False
        self.connection = secured
        self.rfile = secured.makefile("rb", -1)
        self.wfile = secured.makefile("wb", -1)
        self.tls = secured.version() or ""
        return True

    def recipient(self, line: str) -> bool:
        """What becomes of a recipient."""
        reply = self.verdict(line)
        self.server.log("recipient", line=line, reply=reply, client=self.client_address[0], tls=self.tls)
        if reply.startswith("2"):
            self.recipients.append(line)
        return self.say(reply)

    def verdict(self, line: str) -> str:
        """By the host's behaviour."""
        host = self.server.host
        if host.behaviour == "busy":
            return "451 4.3.2 We are too busy today, come back later"
        if host.behaviour == "firm":
            return "550 5.7.1 We do not want mail from you"
        if host.behaviour == "grey":
            first = host.seen.setdefault((self.sender.upper(), line.upper()), time.monotonic())
            if time.monotonic() < first + GREY_SECONDS:
                return "451 4.7.1 Greylisted, try again in 3 seconds"
        return "250 2.1.5 ok"

    def data(self) -> bool:
        """The message."""
        if not self.recipients:
            return self.say("554 5.5.1 no valid recipients")
        self.say("354 go on")
        lines, size = [], 0
        while (line := self.rfile.readline(2000)) not in (b".\r\n", b""):
            size += len(line)
            if size <= SIZE:
                lines.append(line[1:] if line.startswith(b".") else line)
        return self.take(b"".join(lines))

    def take(self, message: bytes) -> bool:
        """Keep it; the one that drops says nothing of it the first time."""
        host = self.server.host
        key = next((line for line in message.split(b"\r\n") if line.lower().startswith(b"message-id:")), b"")
        host.taken[key] += 1
        count = sum(host.taken.values())
        if host.keep:
            place = Path(host.keep) / host.name
            place.mkdir(parents=True, exist_ok=True)
            (place / f"{count}.eml").write_bytes(message)
        drops = host.behaviour == "drops" and host.taken[key] == 1
        event = "kept, and gone without an answer" if drops else "kept"
        self.server.log(event, message=key.decode("latin-1"), recipients=self.recipients, tls=self.tls)
        if drops:
            self.connection.shutdown(socket.SHUT_RDWR)
            return False
        return self.say(f"250 2.0.0 kept as {count}")

    def say(self, text: str) -> bool:
        """A reply; the session goes on."""
        self.wfile.write(text.encode() + b"\r\n")
        self.wfile.flush()
        return True


def marked(words: list[str]) -> list[tuple[str, bool]]:
    """Each with whether it is the last."""
    return [(word, place == len(words) - 1) for place, word in enumerate(words)]


def main(path: str) -> None:
    """Serve for ever."""
    hosts: list[dict[str, Any]] = json.loads(Path(path).read_text(encoding="utf-8"))
    for host in hosts:
        Peer(Host(**host)).log("listening")
    threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1])
