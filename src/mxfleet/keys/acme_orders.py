"""Certificates from an ACME directory, several at once: order, prove by DNS (RFC 8555 §8.4), finalise, download."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

from acme import challenges, messages
from acme.client import ClientV2

from mxfleet.keys.acme_client import Directory, Failure, Presented

THREADS = 8
SECONDS = 90
"""How long an authority may take to decide."""

Present = Callable[[Mapping[str, bytes]], Presented]
"""Publishes proofs (by host name) and waits until all name servers show them; says for which that failed, and why."""


@dataclass(frozen=True, slots=True)
class Request:
    """A certificate that is wanted: for which name, and its signing request (PEM)."""

    name: str
    csr: bytes


@dataclass(slots=True)
class _Order:
    request: Request
    client: ClientV2 | None = None
    order: messages.OrderResource | None = None
    trouble: str = ""
    chain: str = ""


def obtain(directory: Directory, requests: Sequence[Request], present: Present) -> dict[str, tuple[str, str]]:
    """By name (chain in PEM, empty) or (empty, why not); one that fails holds up no other."""
    orders = [_Order(request) for request in requests]
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda order: _step(directory, order, _begin), orders))
        proofs = {order.request.name: proof for order in orders if (proof := _proof(directory, order))}
        missing = present(proofs) if proofs else {}
        for order in orders:
            order.trouble = order.trouble or missing.get(order.request.name, "")
        list(pool.map(lambda order: _step(directory, order, _finish), orders))
    return {order.request.name: (order.chain, order.trouble) for order in orders}


def _step(directory: Directory, order: _Order, work: Callable[[Directory, _Order], None]) -> None:
    if order.trouble:
        return
    try:
        work(directory, order)
    except Failure as error:
        order.trouble = directory.sentence(error)


def _begin(directory: Directory, order: _Order) -> None:
    order.client = directory.client()
    order.order = order.client.new_order(order.request.csr)


def _challenge(order: _Order) -> messages.ChallengeBody | None:
    """The DNS challenge that is still to be met; an authority may remember an earlier proof (RFC 8555 §7.1.4)."""
    for authorization in order.order.authorizations if order.order else ():
        if authorization.body.status == messages.STATUS_PENDING:
            for challenge in authorization.body.challenges:
                if isinstance(challenge.chall, challenges.DNS01):
                    return challenge
    return None


def _proof(directory: Directory, order: _Order) -> bytes:
    challenge = None if order.trouble else _challenge(order)
    return challenge.chall.validation(directory.key).encode("ascii") if challenge else b""


def _finish(directory: Directory, order: _Order) -> None:
    if order.client is None or order.order is None:
        return
    deadline = datetime.now() + timedelta(seconds=SECONDS)  # noqa: DTZ005  (the library's deadlines have no zone)
    if challenge := _challenge(order):
        order.client.answer_challenge(challenge, challenge.chall.response(directory.key))
    proved = order.client.poll_authorizations(order.order, deadline)
    order.chain = order.client.finalize_order(proved, deadline).fullchain_pem
