"""The tls role's files: chains and keys of the names that this node answers to."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mxfleet.errors import RenderError
from mxfleet.fleet.model import Address
from mxfleet.fleet.signing import CertificateView
from mxfleet.fleet.transport_policy import policy_hosts
from mxfleet.render.file import File, mark
from mxfleet.render.view import View

DIRECTORY = "/etc/mxfleet/tls"


@dataclass(frozen=True, slots=True)
class Served:
    """A name with its certificate and the node's addresses that present it when the client sends no SNI."""

    certificate: CertificateView
    addresses: tuple[Address, ...]

    @property
    def chain(self) -> str:
        """Path of the chain on the node."""
        return f"{DIRECTORY}/{self.certificate.name}/fullchain.pem"

    @property
    def key(self) -> str:
        """Path of the private key on the node."""
        return f"{DIRECTORY}/{self.certificate.name}/key.pem"


def served(view: View) -> tuple[Served, ...]:
    """The certificates of one node: its own name's first, then the service's and submission's.

    Raises RenderError where the ledger has none for a name.
    """
    fleet = view.fleet
    names: dict[str, tuple[Address, ...]] = {view.node.hostname: view.node.addresses}
    if fleet.service:
        names[fleet.service.hostname] = fleet.service.addresses
    if fleet.submission_hostname:
        names[fleet.submission_hostname] = ()
    return _with_certificates(view, names)


def policies(view: View) -> tuple[Served, ...]:
    """The certificates under which the node serves MTA-STS policies."""
    return _with_certificates(view, dict.fromkeys(policy_hosts(view.fleet), ()))


def _with_certificates(view: View, names: Mapping[str, tuple[Address, ...]]) -> tuple[Served, ...]:
    by_name = {certificate.name: certificate for certificate in view.signing.certificates}
    missing = [name for name in names if name not in by_name]
    if missing:
        raise RenderError(
            f"fleet {view.fleet.name!r} has no certificate for {', '.join(missing)}", hint="mxfleet tls init"
        )
    return tuple(Served(by_name[name], addresses) for name, addresses in names.items())


def files(view: View) -> Iterator[File]:
    """A chain is public, a key is for the service alone."""
    for entry in (*served(view), *policies(view)):
        secret = entry.certificate.secret
        yield File(role="tls", path=entry.chain, text=entry.certificate.chain_pem, group="mxd", mode=0o640)
        yield File(
            role="tls",
            path=entry.key,
            text=mark(secret) + "\n",
            secrets=(secret,),
            group="mxd",
            mode=0o640,
        )
