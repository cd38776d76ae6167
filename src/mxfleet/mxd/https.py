"""One question to a web server (RFC 9110, RFC 9112): GET over TLS, no redirection followed, little read, not long waited.

MTA-STS needs nothing more of HTTP (RFC 8461 §3.3), and a node needs no library for it.
"""

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from typing import Final

from mxfleet.mail.mta_sts import MAX_BODY, Fetched, FetchFailed

PORT: Final = 443
PATIENCE: Final = 20.0  # seconds for all of it (RFC 8461 §3.3 suggests no more than a minute)
CONNECT: Final = 5.0  # seconds for one address
MAX_HEAD: Final = 16_384  # octets of status line and fields, and of the line before each chunk


class _NotHttp(Exception):
    """What came is no answer that can be understood."""


async def get(
    host: str, path: str, addresses: Sequence[str], context: ssl.SSLContext, port: int = PORT
) -> Fetched | FetchFailed:
    """The answer of the first address that gives one; never raises for what others do. `context` verifies."""
    failed = FetchFailed(f"{host} has no address")
    try:
        async with asyncio.timeout(PATIENCE):
            for address in addresses:
                found = await _ask(host, path, address, context, port)
                if isinstance(found, Fetched) or found.certificate:
                    return found
                failed = found
    except TimeoutError:
        return FetchFailed(f"no answer within {PATIENCE:.0f} s")
    return failed


async def _ask(
    host: str, path: str, address: str, context: ssl.SSLContext, port: int
) -> Fetched | FetchFailed:
    try:
        async with asyncio.timeout(CONNECT):
            reader, writer = await asyncio.open_connection(
                address, port, ssl=context, server_hostname=host, limit=MAX_HEAD
            )
    except ssl.SSLCertVerificationError as error:
        return FetchFailed(f"its certificate is not believed: {error.verify_message}", certificate=True)
    except TimeoutError:
        return FetchFailed(f"no connection to {address} port {port} within {CONNECT:.0f} s")
    except (OSError, ssl.SSLError) as error:
        return FetchFailed(f"no connection to {address} port {port}: {error.strerror or error}")
    try:
        lines = (f"GET {path} HTTP/1.1", f"Host: {host}", "Accept: text/plain", "Connection: close", "", "")
        writer.write("\r\n".join(lines).encode("ascii"))
        return await _answer(reader)
    except (OSError, EOFError, asyncio.LimitOverrunError, _NotHttp) as error:
        return FetchFailed(f"not an answer: {error}")
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)  # the loop lets go of the socket


async def _answer(reader: asyncio.StreamReader) -> Fetched:
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    version, _, rest = lines[0].partition(" ")
    if not version.startswith("HTTP/1.") or not rest[:3].isascii() or not rest[:3].isdigit():
        raise _NotHttp(f"it says {lines[0][:60]!r}")
    pairs = (line.partition(":") for line in lines[1:] if line)
    fields = {name.strip().lower(): value.strip() for name, _, value in pairs}
    status = int(rest[:3])
    body = await _body(reader, fields) if status == 200 else b""
    return Fetched(status, fields.get("content-type", ""), body)


async def _body(reader: asyncio.StreamReader, fields: Mapping[str, str]) -> bytes:
    """RFC 9112 §6; one octet more than allowed tells the reader that it was too much."""
    if "chunked" in fields.get("transfer-encoding", "").lower():
        return await _chunks(reader)
    length = fields.get("content-length", "")
    if not length:
        return await _up_to(reader, MAX_BODY + 1)
    if not (length.isascii() and length.isdigit() and len(length) < 12):
        raise _NotHttp(f"an answer of {length[:20]!r} octets")
    return await reader.readexactly(min(int(length), MAX_BODY + 1))


async def _up_to(reader: asyncio.StreamReader, most: int) -> bytes:
    body = b""
    while len(body) < most and (piece := await reader.read(most - len(body))):
        body += piece
    return body


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    """RFC 9112 §7.1."""
    body = b""
    while len(body) <= MAX_BODY:
        line = await reader.readuntil(b"\r\n")
        digits = line.partition(b";")[0].strip()
        if not digits or len(digits) > 8 or digits.strip(b"0123456789abcdefABCDEF"):
            raise _NotHttp(f"a chunk of {digits[:20]!r} octets")
        size = int(digits, 16)
        if size == 0:
            break
        body += await reader.readexactly(min(size, MAX_BODY + 1))
        if len(body) <= MAX_BODY:
            await reader.readexactly(2)
    return body
