"""What a fleet needs to have in its state before a node can be rendered; pure."""

from collections.abc import Iterator

from mxfleet.fleet.model import Fleet
from mxfleet.fleet.signing import Signing


def sending_domains(fleet: Fleet) -> tuple[str, ...]:
    """The domains that mail is signed for: all that are not parked."""
    return tuple(domain.name for domain in fleet.domains if not domain.parked)


def server_names(fleet: Fleet) -> tuple[str, ...]:
    """The names that clients ask a certificate for: the preferred MX, each node, submission; each once."""
    names = [fleet.mx_hostname, *(node.hostname for node in fleet.nodes)]
    if fleet.submission_hostname:
        names.append(fleet.submission_hostname)
    return tuple(dict.fromkeys(names))


def exchanges(fleet: Fleet) -> tuple[str, ...]:
    """The names that MX records point to, the preferred one first."""
    nodes = (node.hostname for node in fleet.nodes) if fleet.service else ()
    return tuple(dict.fromkeys((fleet.mx_hostname, *nodes)))


def missing_in(fleet: Fleet, signing: Signing) -> Iterator[tuple[str, str]]:
    """What is missing, each as a sentence and the next command."""
    certified = {certificate.name for certificate in signing.certificates}
    if without := [name for name in server_names(fleet) if name not in certified]:
        remedy = "mxfleet tls init" if fleet.laboratory else "mxfleet tls import NAME --chain FILE --key FILE"
        yield f"no certificate for {', '.join(without)}", remedy
    signed = {key.domain for key in signing.dkim}
    if without := [name for name in sending_domains(fleet) if name not in signed]:
        yield (
            f"no active DKIM key for {', '.join(without)}",
            "mxfleet dkim init, then mxfleet dns apply (a key is active once DNS shows it everywhere)",
        )
