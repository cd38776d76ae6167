"""Runs on a client: connects again and again and sends message after message, until its standard input ends.

The job is the first line of standard input, JSON: {"knock": [[host, port, tls], …], "send": [[host, port], …],
"sender", "recipient", "pause" (seconds)}. Prints JSON: who was greeted how often and how, the longest wait for
a banner, everything that went wrong with connections, and the tokens of the messages that were acknowledged.
"""

import json
import secrets
import socket
import ssl
import sys
import threading
import time
from collections import Counter
from typing import Any

PATIENCE = 60.0  # seconds for one answer


class Visitor:
    """What all threads share."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.job = job
        self.ended = threading.Event()
        self.greetings: Counter[str] = Counter()
        self.wrong: Counter[str] = Counter()
        self.acknowledged: list[str] = []
        self.longest = 0.0
        self.lock = threading.Lock()

    def connect(self, host: str, port: int, *, tls: bool = False) -> socket.socket:
        """A connection that was greeted; raises OSError."""
        begun = time.monotonic()
        connection = socket.create_connection((host, port), PATIENCE)
        stage = "handshake"
        try:
            if tls:
                context = ssl.create_default_context()
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
                connection = context.wrap_socket(connection)
            stage = "banner"
            banner = answer(connection)
        except OSError as error:
            connection.close()
            raise ConnectionError(f"{stage}: {error}") from error
        with self.lock:
            self.longest = max(self.longest, time.monotonic() - begun)
            self.greetings[f"{host} {port} {banner[:3]}"] += 1
        return connection

    def failed(self, host: str, port: int, error: Exception) -> None:
        with self.lock:
            self.wrong[f"{host} {port} {type(error).__name__}: {error}"] += 1

    def knock(self, host: str, port: int, tls: bool) -> None:
        while not self.ended.is_set():
            try:
                with self.connect(host, port, tls=tls) as connection:
                    connection.sendall(b"QUIT\r\n")
            except OSError as error:
                self.failed(host, port, error)
            self.ended.wait(self.job["pause"])

    def send(self, host: str, port: int) -> None:
        """Messages one after the other, over a connection for as long as it is good."""
        while not self.ended.is_set():
            try:
                connection = self.connect(host, port)
            except OSError as error:
                self.failed(host, port, error)
                continue
            try:
                with connection:
                    self.talk(connection)
            except (OSError, Refused):  # between greeting and acknowledgement a restart may say 421
                continue

    def talk(self, connection: socket.socket) -> None:
        ask(connection, "EHLO client.test", "250")
        while not self.ended.is_set():
            token = secrets.token_hex(12)
            ask(connection, f"MAIL FROM:<{self.job['sender']}>", "250")
            ask(connection, f"RCPT TO:<{self.job['recipient']}>", "250")
            ask(connection, "DATA", "354")
            fields = (
                f"From: <{self.job['sender']}>\r\nMessage-ID: <{token}@client.test>\r\nSubject: {token}\r\n"
            )
            ask(connection, f"{fields}\r\nknock knock\r\n.", "250")
            with self.lock:
                self.acknowledged.append(token)
            self.ended.wait(self.job["pause"])
        ask(connection, "QUIT", "221")


class Refused(Exception):
    """Not the reply that goes on."""


def answer(connection: socket.socket) -> str:
    """A whole reply; raises ConnectionError where the connection ends before."""
    text = b""
    while not text.endswith(b"\n") or text.splitlines()[-1][3:4] == b"-":
        octets = connection.recv(4096)
        if not octets:
            raise ConnectionError(f"closed after {text!r}")
        text += octets
    return text.decode()


def ask(connection: socket.socket, line: str, wanted: str) -> None:
    connection.sendall(line.encode() + b"\r\n")
    if not (reply := answer(connection)).startswith(wanted):
        raise Refused(reply)


def main() -> None:
    visitor = Visitor(json.loads(sys.stdin.readline()))
    threads = [threading.Thread(target=visitor.knock, args=where) for where in visitor.job["knock"]]
    threads += [threading.Thread(target=visitor.send, args=where) for where in visitor.job["send"]]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    visitor.ended.set()
    for thread in threads:
        thread.join()
    told = {"greetings": visitor.greetings, "wrong": visitor.wrong, "longest": round(visitor.longest, 2)}
    sys.stdout.write(json.dumps({**told, "acknowledged": visitor.acknowledged}))


if __name__ == "__main__":
    main()
