"""STARTTLS on an open connection, as a server (RFC 3207)."""

import asyncio
import ssl

from mxfleet.mxd.desk import Desk


async def upgrade(
    desk: Desk, transport: asyncio.Transport, protocol: asyncio.BaseProtocol, local: str
) -> asyncio.Transport | None:
    """The encrypted transport, or None where the handshake failed and the connection is gone."""
    context = desk.configuration.certificates.for_address(local)
    try:
        encrypted = await asyncio.get_running_loop().start_tls(
            transport, protocol, context, server_side=True, ssl_handshake_timeout=30.0
        )
    except (OSError, ssl.SSLError, TimeoutError) as error:
        desk.counters.add("tls_failures")
        desk.log.info("TLS failed", local=local, error=str(error))
        transport.abort()
        return None
    desk.counters.add("tls_sessions")
    return encrypted
