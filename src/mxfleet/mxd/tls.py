"""TLS as a server and as a client: Mozilla's intermediate profile, certificates by name and by address (docs/tls.md)."""

import ssl
import sys
from asyncio.sslproto import SSLProtocol
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from mxfleet.errors import SettingsError
from mxfleet.mail.smtp.events import TlsInfo
from mxfleet.mxd.listener import plain_address
from mxfleet.mxd.settings import CertificateSettings

# Mozilla's intermediate configuration without DHE: TLS 1.2 with forward secrecy and AEAD only; TLS 1.3's are fixed.
CIPHERS: Final = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
)

# asyncio reads in pieces of 256 kB and zeroes as much for each connection; a TLS record has 16 kB (RFC 8446 §5.2).
# Measured at 100 sessions with STARTTLS: half the memory, a fifth less CPU.
SSLProtocol.max_size = 32_768


class Certificates:
    """Server contexts: chosen by the local address before the handshake, by SNI in it.

    Made before forking, so that all workers share the keys of session tickets.
    """

    def __init__(self, settings: Sequence[CertificateSettings]) -> None:
        """Raises SettingsError where a file cannot be loaded."""
        self._by_name: dict[str, ssl.SSLContext] = {}
        self._by_address: dict[str, ssl.SSLContext] = {}
        self._names: dict[int, str] = {}
        self.chains: dict[str, bytes] = {}
        """By name the PEM chain that is shown, as it was loaded."""
        for certificate in settings:
            context = self._context(certificate)
            self._by_name.setdefault(certificate.name.lower(), context)
            for address in certificate.addresses:
                self._by_address.setdefault(plain_address(address), context)

    def __bool__(self) -> bool:
        return bool(self._by_name)

    def for_address(self, address: str) -> ssl.SSLContext:
        """The context for clients that connected to this local address; the first is everybody's."""
        return self._by_address.get(address) or next(iter(self._by_name.values()))

    def info(self, connection: ssl.SSLObject) -> TlsInfo:
        """What a handshake came to; the server name is that of the certificate that was shown."""
        cipher = connection.cipher()
        name = self._names.get(id(connection.context), "")
        return TlsInfo(connection.version() or "", cipher[0] if cipher else "", name)

    def _context(self, certificate: CertificateSettings) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(CIPHERS)
        context.options |= ssl.OP_NO_RENEGOTIATION
        context.options &= (
            ~ssl.OP_CIPHER_SERVER_PREFERENCE
        )  # all are strong: the client knows which is fast for it
        try:
            context.load_cert_chain(certificate.chain, certificate.key)
            self.chains[certificate.name] = Path(certificate.chain).read_bytes()
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(
                f"certificate {certificate.name}: {certificate.chain} with {certificate.key}: {error}",
                hint="mxfleet deploy writes them anew",
            ) from error
        context.sni_callback = self._choose
        self._names[id(context)] = certificate.name
        return context

    def _choose(self, connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        """RFC 6066 §3: the certificate of the name asked for; an unknown name keeps that of the address."""
        context = self._by_name.get((name or "").lower())
        if context is not None:
            connection.context = context


def client_context() -> ssl.SSLContext:
    """For outbound mail, opportunistic: better than clear text, verified by nobody (RFC 7435)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def verifying_context(trust: str) -> ssl.SSLContext:
    """For hosts whose certificate must be of an authority in the file, empty for Debian's, and for their name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.hostname_checks_common_name = False  # RFC 6125 §6.4.4
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        if trust:
            context.load_verify_locations(trust)
        else:
            context.load_default_certs()
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"{trust}: not the certificates of authorities: {error}") from error
    return context


def chain_of(connection: ssl.SSLObject) -> tuple[bytes, ...]:
    """What the other side sent, DER, its own certificate first, whether anybody believes it or not."""
    if sys.version_info >= (3, 13):
        return tuple(connection.get_unverified_chain())
    inner = getattr(connection, "_sslobj")  # noqa: B009 - public from Python 3.13 on
    return tuple(
        ssl.PEM_cert_to_DER_cert(certificate.public_bytes())
        for certificate in inner.get_unverified_chain() or ()
    )


def client_info(connection: ssl.SSLObject, server_name: str) -> TlsInfo:
    """What an outbound handshake came to."""
    cipher = connection.cipher()
    return TlsInfo(connection.version() or "", cipher[0] if cipher else "", server_name)
