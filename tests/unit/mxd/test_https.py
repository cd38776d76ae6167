"""One GET over TLS: what comes back of good, bad, endless and silent web servers (RFC 8461 §3.3)."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from mxfleet.mail.mta_sts import MAX_BODY, Fetched, FetchFailed
from mxfleet.mxd import https, tls
from tests.unit.mxd.test_sending_tls import Authority

HOST = "mta-sts.peer.test"
Ask = Callable[..., Awaitable[Fetched | FetchFailed]]


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("web"))


@pytest.fixture
async def ask(ca: Authority) -> AsyncIterator[Ask]:
    """Asks a server that answers with these octets; `name` is its certificate's, `asked` gets the request."""
    servers: list[asyncio.Server] = []

    async def ask(answer: bytes, name: str = HOST, asked: list[bytes] | None = None) -> Fetched | FetchFailed:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            request = await reader.readuntil(b"\r\n\r\n")
            if asked is not None:
                asked.append(request)
            writer.write(answer)
            if answer:
                writer.close()

        chain, key, _ = ca.issue(name)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain, key)
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        servers.append(server)
        port = server.sockets[0].getsockname()[1]
        return await https.get(HOST, "/x.txt", ["127.0.0.1"], tls.verifying_context(str(ca.trust)), port)

    yield ask
    for server in servers:
        server.close()
        await server.wait_closed()
    await asyncio.sleep(0)


def ok(body: bytes, *fields: bytes) -> bytes:
    return b"\r\n".join([b"HTTP/1.1 200 OK", b"Content-Type: text/plain", *fields, b"", body])


async def test_the_request_names_host_and_path_and_nothing_of_ours(ask: Ask) -> None:
    asked: list[bytes] = []
    assert await ask(ok(b"version: STSv1\r\n"), asked=asked) == Fetched(
        200, "text/plain", b"version: STSv1\r\n"
    )
    assert asked[0].startswith(b"GET /x.txt HTTP/1.1\r\nHost: mta-sts.peer.test\r\n")


@pytest.mark.parametrize(
    "answer",
    [
        ok(b"policy and more", b"Content-Length: 6"),
        ok(b"3\r\npol\r\n3;x=y\r\nicy\r\n0\r\n\r\n", b"Transfer-Encoding: chunked"),
        ok(b"policy"),
    ],
)
async def test_a_body_ends_where_it_says(ask: Ask, answer: bytes) -> None:
    assert await ask(answer) == Fetched(200, "text/plain", b"policy")


async def test_a_redirection_is_an_answer_and_is_not_followed(ask: Ask) -> None:
    found = await ask(b"HTTP/1.1 302 Found\r\nLocation: https://elsewhere.test/\r\n\r\n")
    assert found == Fetched(302, "", b"")


@pytest.mark.parametrize(
    "answer",
    [
        ok(b"x" * (MAX_BODY + 50_000)),
        ok(b"x" * (MAX_BODY + 50_000), b"Content-Length: %d" % (MAX_BODY + 50_000)),
        ok((b"8000\r\n" + b"x" * 0x8000 + b"\r\n") * 4, b"Transfer-Encoding: chunked"),
    ],
)
async def test_no_more_is_read_than_a_policy_may_have(ask: Ask, answer: bytes) -> None:
    found = await ask(answer)
    assert isinstance(found, Fetched)
    assert MAX_BODY < len(found.body) <= 2 * MAX_BODY + 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HELLO\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        ok(b"x", b"Content-Length: 100"),
        ok(b"x", b"Content-Length: -1"),
        ok(b"zz\r\nx", b"Transfer-Encoding: chunked"),
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 40_000 + b"\r\n\r\n",
        b"HTTP/1.1 200",
    ],
)
async def test_what_is_no_answer_is_none(ask: Ask, answer: bytes) -> None:
    found = await ask(answer)
    assert isinstance(found, FetchFailed)
    assert found.reason.startswith("not an answer: ")
    assert not found.certificate


async def test_a_certificate_for_another_name_is_told_from_no_connection(ask: Ask, ca: Authority) -> None:
    found = await ask(ok(b"x"), name="other.test")
    assert isinstance(found, FetchFailed)
    assert found.certificate
    assert "Hostname mismatch" in found.reason
    nobody = await https.get(HOST, "/", ["127.0.0.1"], tls.verifying_context(str(ca.trust)), 1)
    assert isinstance(nobody, FetchFailed)
    assert (nobody.certificate, nobody.reason[:44]) == (False, "no connection to 127.0.0.1 port 1: Connect c")
    assert await https.get(HOST, "/", [], tls.verifying_context("")) == FetchFailed(f"{HOST} has no address")


async def test_silence_is_not_waited_for(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(https, "PATIENCE", 0.2)
    assert await ask(b"") == FetchFailed("no answer within 0 s")


def test_the_file_of_authorities_is_one(tmp_path: Path) -> None:
    from mxfleet.errors import SettingsError

    wrong = tmp_path / "trust.pem"
    wrong.write_text("no certificate")
    with pytest.raises(SettingsError, match="not the certificates of authorities"):
        tls.verifying_context(str(wrong))
