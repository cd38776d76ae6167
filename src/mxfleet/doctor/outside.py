"""What a node shows to somebody who connects to it: open ports, certificates, protocol versions, replies."""

import hashlib
import socket
import ssl
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from mxfleet.fleet import Fleet

SECONDS = 5.0
IMPLICIT = (443, 465)
"""RFC 8314 §3.3: the port on which TLS comes first; on the others it begins with STARTTLS (RFC 3207)."""


@dataclass(frozen=True, slots=True)
class Tls:
    """What a handshake gave: the leaf's SHA-256 fingerprint (hex), the protocol version, e.g. `TLSv1.3`, and the leaf (DER)."""

    fingerprint: str
    version: str
    certificate: bytes = b""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address that the world connects to, with the name that serves it when the client does not ask for one."""

    owner: str
    address: str
    name: str


def endpoints(fleet: Fleet) -> tuple[Endpoint, ...]:
    """Each node's own addresses, then the service's."""
    own = [
        Endpoint(node.name, str(address), node.hostname) for node in fleet.nodes for address in node.addresses
    ]
    service = fleet.service
    shared = (
        [Endpoint("service", str(address), service.hostname) for address in service.addresses]
        if service
        else []
    )
    return (*own, *shared)


def is_open(address: str, port: int, seconds: float = 0.7) -> bool:
    """Whether a TCP connection can be made; a port that drops counts as closed after `seconds`."""
    try:
        with socket.create_connection((address, port), timeout=seconds):
            return True
    except OSError:
        return False


def replies(address: str, port: int, commands: Iterable[str], seconds: float = SECONDS) -> list[str]:
    """The last line of each reply in one SMTP dialogue, the greeting's first; raises OSError."""
    with _connected(address, port, seconds) as connection:
        told = [_reply(connection)]
        for command in commands:
            connection.sendall(command.encode() + b"\r\n")
            told.append(_reply(connection))
        return [reply[-1] for reply in told]


def extensions(address: str, port: int) -> set[str]:
    """The keywords that EHLO offers before TLS (RFC 5321 §4.1.1.1); raises OSError."""
    with _connected(address, port, SECONDS) as connection:
        _reply(connection)
        connection.sendall(b"EHLO outside.invalid\r\n")
        return {line[4:].split()[0].upper() for line in _reply(connection)[1:]}


def handshake(address: str, port: int, name: str | None, context: ssl.SSLContext | None = None) -> Tls:
    """Make TLS as a client that sends `name` as SNI, or none; raises OSError (ssl.SSLError is one)."""
    with _connected(address, port, SECONDS) as connection:
        if port not in IMPLICIT:
            _starttls(connection)
        with (context or trusting()).wrap_socket(connection, server_hostname=name) as secure:
            certificate = secure.getpeercert(binary_form=True) or b""
            return Tls(hashlib.sha256(certificate).hexdigest(), secure.version() or "", certificate)


def trusting(version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """A client that looks at any certificate, and speaks only one protocol version where told so.

    Security level 0, so that it is the server that refuses what is old, not this client.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if version:
        context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = context.maximum_version = version
    return context


@contextmanager
def _connected(address: str, port: int, seconds: float) -> Iterator[socket.socket]:
    with socket.create_connection((address, port), timeout=seconds) as connection:
        yield connection


def _starttls(connection: socket.socket) -> None:
    _reply(connection)
    for command in (b"EHLO outside.invalid\r\n", b"STARTTLS\r\n"):
        connection.sendall(command)
        last = _reply(connection)[-1]
    if not last.startswith("220"):
        raise ConnectionError(f"STARTTLS refused: {last}")


def _reply(connection: socket.socket) -> list[str]:
    """The lines of one reply (RFC 5321 §4.2.1)."""
    text = b""
    while not _whole(text):
        octets = connection.recv(4096)
        if not octets:
            raise ConnectionError(f"closed in the middle of a reply: {text!r}")
        text += octets
    return text.decode("utf-8", "replace").splitlines()


def _whole(text: bytes) -> bool:
    return text.endswith(b"\n") and text.splitlines()[-1][3:4] != b"-"
