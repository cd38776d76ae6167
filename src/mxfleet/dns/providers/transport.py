"""TSIG-signed questions to one server over TCP, and its refusals as sentences."""

import socket
from dataclasses import dataclass, field
from typing import BinaryIO

import dns.exception
import dns.message
import dns.query
import dns.rcode
import dns.tsig
import dns.xfr
import dns.zone

from mxfleet.errors import DnsError

SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Server:
    """A server by name or address, and the key that we share with it."""

    host: str
    port: int
    key: dns.tsig.Key = field(repr=False)  # its own repr shows the secret
    timeout: float = SECONDS

    def __str__(self) -> str:
        """Host and port, for sentences."""
        return self.host if self.port == 53 else f"{self.host} port {self.port}"

    @property
    def key_name(self) -> str:
        """The key's name, for sentences."""
        return self.key.name.to_text()

    def ask(self, message: dns.message.Message) -> dns.message.Message:
        """The server's answer, signed unless it is a refusal; raises DnsError where there is no such answer."""
        message.use_tsig(self.key)
        try:
            wire = self._exchange(message.to_wire())
            answer = dns.message.from_wire(wire, keyring=False)  # a server that does not know us cannot sign
            if answer.had_tsig:
                answer = dns.message.from_wire(wire, keyring=self.key, request_mac=message.mac)
        except (OSError, EOFError, dns.exception.DNSException) as error:
            raise self._trouble(error) from error
        if not message.is_response(answer) or (answer.rcode() == dns.rcode.NOERROR and not answer.had_tsig):
            raise DnsError(f"{self} gave an answer that is not signed by {self.key_name}")
        return answer

    def transfer(self, zone: str, holder: dns.zone.Zone) -> None:
        """Fill `holder` by AXFR; raises dns.xfr.TransferError or dns.tsig.PeerBadKey where refused, else DnsError.

        A forged transfer does no harm: the prerequisites of the update made from it would not hold.
        """
        query, _ = dns.xfr.make_query(holder, None, keyring=self.key)
        try:
            dns.query.inbound_xfr(
                self.address(), holder, query, port=self.port, timeout=self.timeout, lifetime=60
            )
        except (dns.xfr.TransferError, dns.tsig.PeerBadKey):
            raise
        except (OSError, EOFError, dns.exception.DNSException) as error:
            raise self._trouble(error, f"transfer of zone {zone}") from error

    def _exchange(self, wire: bytes) -> bytes:
        """One message each way, with its length before it (RFC 1035 §4.2.2)."""
        with socket.create_connection((self.address(), self.port), self.timeout) as stream:
            stream.sendall(len(wire).to_bytes(2, "big") + wire)
            with stream.makefile("rb") as reader:
                length = int.from_bytes(_exactly(reader, 2), "big")
                return _exactly(reader, length)

    def address(self) -> str:
        """The server's address; raises DnsError where its name has none."""
        try:
            return str(socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)[0][4][0])
        except OSError as error:
            raise DnsError(f"DNS server {self.host} has no address: {error}") from error

    def refuse_failure(self, answer: dns.message.Message, what: str) -> None:
        """Raise DnsError where the answer is not NOERROR, with the reason that the code stands for."""
        code = answer.rcode()
        if code == dns.rcode.NOERROR:
            return
        reasons = {
            dns.rcode.REFUSED: f"it does not let the key {self.key_name} do that, or its own rules forbid the change; see its log",
            dns.rcode.NOTAUTH: f"it is not primary for the zone, does not know the key {self.key_name}, or has another secret for it",
            dns.rcode.NOTZONE: "a name lies outside of the zone",
            dns.rcode.SERVFAIL: "it failed by itself; see its log",
            dns.rcode.NOTIMP: "it does not take updates",
        }
        reason = reasons.get(code, "no reason known")
        raise DnsError(f"{self} refused the {what}: {dns.rcode.to_text(code)}, {reason}")

    def _trouble(self, error: Exception, what: str = "") -> DnsError:
        during = f" during the {what}" if what else ""
        match error:
            case dns.tsig.PeerBadKey():  # Knot says so too of a key that may not do this
                return DnsError(
                    f"{self} does not know the key {self.key_name}, or does not let it do this",
                    hint="name the key and what it may do in the server's configuration",
                )
            case dns.tsig.PeerBadSignature() | dns.tsig.BadSignature():
                return DnsError(f"{self} and we have different secrets for the key {self.key_name}")
            case dns.tsig.PeerBadTime() | dns.tsig.BadTime():
                return DnsError(f"the clocks of {self} and of this machine differ too much for TSIG")
            case dns.exception.Timeout() | TimeoutError():
                return DnsError(
                    f"{self} did not answer in {self.timeout:.0f} s{during}",
                    hint="run it again: it is repeatable",
                )
            case OSError() | EOFError():
                return DnsError(f"{self} cannot be reached{during}: {error or type(error).__name__}")
        return DnsError(f"{self} answered what cannot be understood{during}: {error or type(error).__name__}")


def _exactly(reader: BinaryIO, length: int) -> bytes:
    content = reader.read(length)
    if len(content) < length:
        raise EOFError("it closed the connection early")
    return content
