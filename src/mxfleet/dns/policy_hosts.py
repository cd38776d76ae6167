"""Whether the nodes serve the MTA-STS policy that is about to be announced: asked by HTTPS, each address by itself.

A sender that sees a new id fetches the policy at once, and keeps what it gets for `max_age`: so the id comes after
the policy is on every host (RFC 8461 §8.2).
"""

import http.client
import socket
import ssl
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor

from cryptography import x509

from mxfleet.dns.lookup import NO_ROUTE_ERRORS
from mxfleet.fleet.model import Address, Fleet
from mxfleet.fleet.transport_policy import PATH, policy_text
from mxfleet.keys.certificates import covers, names_of

SECONDS, THREADS = 5.0, 16
Fetch = Callable[[str, Address], bytes]
"""(policy host, address) → what is served there; raises OSError or HTTPException."""


def unserved(fleet: Fleet, domains: Collection[str], fetch: Fetch | None = None) -> dict[str, str]:
    """By domain the first address that does not serve the fleet's policy, and what it does instead."""
    look = _impatient(fetch or fetcher(fleet))
    service = fleet.service.addresses if fleet.service else ()
    places = [(fleet.mx_hostname, address) for address in service]
    places += [(node.name, address) for node in fleet.nodes for address in node.addresses]
    questions = [(domain, owner, address) for domain in domains for owner, address in places]
    wanted = policy_text(fleet).encode()
    with ThreadPoolExecutor(THREADS) as pool:
        said = pool.map(lambda q: _problem(look, q[0], q[1], q[2], wanted), questions)
        found: dict[str, str] = {}
        for (domain, _, _), problem in zip(questions, said, strict=True):
            if problem:
                found.setdefault(domain, problem)
    return found


def _impatient(fetch: Fetch) -> Fetch:
    """An address that was silent once is not waited for again: a thousand domains ask the same few."""
    silent: dict[Address, TimeoutError] = {}

    def look(host: str, address: Address) -> bytes:
        if address in silent:
            raise silent[address]
        try:
            return fetch(host, address)
        except TimeoutError as error:
            silent[address] = error
            raise

    return look


def _problem(look: Fetch, domain: str, owner: str, address: Address, wanted: bytes) -> str:
    try:
        content = look(f"mta-sts.{domain}", address)
    except OSError as error:
        if (
            error.errno in NO_ROUTE_ERRORS
        ):  # not reachable from here in this family: the other one is asked too
            return ""
        return f"{owner} ({address}) does not serve it: {error}"
    except http.client.HTTPException as error:
        return f"{owner} ({address}) does not serve it: {error}"
    return "" if content == wanted else f"{owner} ({address}) serves another policy"


def fetcher(fleet: Fleet) -> Fetch:
    """By HTTPS; a laboratory's root is unknown here, so that there only the name in the certificate counts."""
    context = ssl.create_default_context()
    if fleet.laboratory:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    def fetch(host: str, address: Address) -> bytes:
        plain = socket.create_connection((str(address), 443), timeout=SECONDS)
        with context.wrap_socket(plain, server_hostname=host) as connection:
            _refuse_other_name(connection, host)
            request = f"GET {PATH} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
            connection.sendall(request.encode("ascii"))
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            kind = answer.headers.get_content_type()
            if answer.status != 200 or kind != "text/plain":  # RFC 8461 §3.3: no redirects, this type
                raise http.client.HTTPException(f"it answers {answer.status} {kind}")
            return answer.read(65536)

    return fetch


def _refuse_other_name(connection: ssl.SSLSocket, host: str) -> None:
    shown = connection.getpeercert(binary_form=True) or b""
    names = names_of(x509.load_der_x509_certificate(shown))
    if not any(covers(name, host) for name in names):
        raise ssl.SSLCertVerificationError(f"its certificate is for {', '.join(names) or 'no name'}")
