"""What a fleet needs to have in its state before a node can be rendered; pure."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from mxfleet.fleet.model import Fleet
from mxfleet.fleet.signing import Signing
from mxfleet.fleet.transport_policy import announced_exchanges, policy_hosts


def sending_domains(fleet: Fleet) -> tuple[str, ...]:
    """The domains that mail is signed for: all that are not parked."""
    return tuple(domain.name for domain in fleet.domains if not domain.parked)


def server_names(fleet: Fleet) -> tuple[str, ...]:
    """The names that clients ask a certificate for: the preferred MX, each node, submission; each once."""
    names = [fleet.mx_hostname, *(node.hostname for node in fleet.nodes)]
    if fleet.submission_hostname:
        names.append(fleet.submission_hostname)
    return tuple(dict.fromkeys(names))


def certificate_names(fleet: Fleet) -> tuple[str, ...]:
    """All names that need a certificate."""
    return tuple(dict.fromkeys((*server_names(fleet), *policy_hosts(fleet))))


def bound_names(fleet: Fleet) -> tuple[str, ...]:
    """The exchanges whose keys are bound by TLSA records: those in zones that are signed (RFC 7672 §2.2)."""
    signed = {zone.name for zone in fleet.zones if zone.signed}
    return tuple(
        n for n in announced_exchanges(fleet) if any(n == zone or n.endswith(f".{zone}") for zone in signed)
    )


@dataclass(frozen=True, slots=True)
class Hosts:
    """The names that need certificates: the nodes that serve each, and which of them have TLSA records.

    `authority` says whether certificates are asked for (ACME) or brought; `ttl` is that of the TLSA records.
    """

    nodes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    bound: frozenset[str] = frozenset()
    ttl: int = 0
    authority: bool = False


def hosts_of(fleet: Fleet) -> Hosts:
    """From the fleet: a node's own name is served by it alone, all others by every node."""
    own = {node.hostname: (node.name,) for node in fleet.nodes}
    every = tuple(node.name for node in fleet.nodes)
    return Hosts(
        {name: own.get(name, every) for name in certificate_names(fleet)},
        frozenset(bound_names(fleet)),
        fleet.policy.record_ttl,
        fleet.acme is not None,
    )


def missing_in(fleet: Fleet, signing: Signing) -> Iterator[tuple[str, str]]:
    """What is missing, each as a sentence and the next command."""
    certified = {certificate.name for certificate in signing.certificates}
    if without := [name for name in certificate_names(fleet) if name not in certified]:
        asks = fleet.laboratory or fleet.acme
        remedy = "mxfleet tls init" if asks else "mxfleet tls import NAME --chain FILE --key FILE"
        yield f"no certificate for {', '.join(without)}", remedy
    signed = {key.domain for key in signing.dkim} | {*signing.unsigned}
    if without := [name for name in sending_domains(fleet) if name not in signed]:
        yield (
            f"no active DKIM key for {', '.join(without)}",
            "mxfleet dkim init, then mxfleet dns apply (a key is active once DNS shows it everywhere)",
        )


def warnings_of(signing: Signing) -> list[str]:
    """What is rendered although people would not expect it, a sentence each with the next command."""
    return [
        f"{name} has no active DKIM key any more: its mail leaves unsigned until a new one is; next: mxfleet tend"
        for name in signing.unsigned
    ]
