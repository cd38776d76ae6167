"""What makes a fleet wrong: each check is a generator of (sentence, remedy), pure, in the order of reading."""

from collections.abc import Callable, Iterator

from mxfleet.errors import FleetError
from mxfleet.fleet.model import Fleet
from mxfleet.fleet.names import LABEL, LOCAL_PART, Problem, all_hostnames, is_hostname, twice
from mxfleet.fleet.policy import FLOORS
from mxfleet.fleet.receiving_checks import receiving
from mxfleet.fleet.routing_checks import aliases, forwarding, relays, routes
from mxfleet.fleet.sending_checks import sending


def refuse_wrong(fleet: Fleet) -> None:
    """Raise FleetError with the first problem, and how many more there are."""
    problems = [problem for check in CHECKS for problem in check(fleet)]
    if problems:
        sentence, remedy = problems[0]
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise FleetError(sentence + more, hint=remedy)


def names(fleet: Fleet) -> Iterator[Problem]:
    """Fleet, node and host names are what DNS and file names allow (RFC 1123 §2.1), each once."""
    if not LABEL.match(fleet.name):
        yield f"fleet name {fleet.name!r} is not a DNS label", "use a-z, 0-9 and '-'"
    if not fleet.nodes:
        yield f"fleet {fleet.name!r} has no nodes", "give it at least one Node(...)"
    for node in fleet.nodes:
        if not LABEL.match(node.name):
            yield f"node name {node.name!r} is not a DNS label", "use a-z, 0-9 and '-'"
        if not is_hostname(node.hostname):
            yield (
                f"node {node.name}: hostname {node.hostname!r} is not a full host name",
                "e.g. mx1.example.org",
            )
    yield from twice("node name", [node.name for node in fleet.nodes])
    yield from twice("hostname", all_hostnames(fleet))


def addresses(fleet: Fleet) -> Iterator[Problem]:
    """Each address belongs to one thing, and all nodes have the same address families."""
    service = list(fleet.service.addresses) if fleet.service else []
    yield from twice("address", [str(address) for address in [*fleet.peer_addresses, *service]])
    with_v6 = [node.name for node in fleet.nodes if node.address6]
    if with_v6 and len(with_v6) != len(fleet.nodes):
        without = [node.name for node in fleet.nodes if not node.address6]
        yield (
            f"{', '.join(without)}: no address6, but {', '.join(with_v6)} has one",
            "give all nodes one, or none",
        )
    if fleet.service and fleet.service.address6 and not with_v6:
        yield "the service has an address6, but no node has one", "give each node an address6"


def service(fleet: Fleet) -> Iterator[Problem]:
    """Several nodes need an address that moves between them, in a network that they share."""
    if fleet.service is None:
        if len(fleet.nodes) > 1:
            yield f"{len(fleet.nodes)} nodes but no service address", "give the fleet service=Service(...)"
        return
    if not 1 <= fleet.service.router_id <= 255:
        yield (
            f"service router_id {fleet.service.router_id} is not 1 to 255",
            "VRRP (RFC 9568 §5.2.3) has one octet",
        )
    if not is_hostname(fleet.service.hostname):
        yield f"service hostname {fleet.service.hostname!r} is not a full host name", "e.g. mx.example.org"
    from ipaddress import ip_network

    network = ip_network(f"{fleet.service.address4}/{fleet.service.prefix4}", strict=False)
    for node in fleet.nodes:
        if node.address4 not in network:
            yield (
                f"node {node.name}: {node.address4} is not in the service address's network {network}",
                "VRRP moves an address only within one network",
            )


def access(fleet: Fleet) -> Iterator[Problem]:
    """Somebody must be able to log in after the firewall is up, and not everybody."""
    if not fleet.admin_networks:
        yield "admin_networks is empty: the firewall would lock you out", "name the networks that may use ssh"
    for network in fleet.admin_networks:
        if network.prefixlen == 0:
            yield f"admin network {network} is the whole Internet", "name the networks that you log in from"


def domains(fleet: Fleet) -> Iterator[Problem]:
    """A domain has recipients and a route, or is parked."""
    if not fleet.domains:
        yield f"fleet {fleet.name!r} has no domains", "give it at least one Domain(...)"
    yield from twice("domain", [domain.name for domain in fleet.domains])
    for domain in fleet.domains:
        if not is_hostname(domain.name):
            yield (
                f"domain {domain.name!r} is not a domain name in lower-case A-labels",
                "e.g. example.org, xn--bcher-kva.example",
            )
        if domain.parked and (domain.route or domain.recipients):
            yield (
                f"domain {domain.name} is parked and has a route or recipients",
                "a parked domain has neither",
            )
        if domain.parked or domain.rewrite_to:
            continue
        if not domain.next_hops:
            yield (
                f"domain {domain.name} has no route: its mail would go nowhere",
                "give it route=Lmtp(...) or Smtp(...), or parked=True",
            )
        if not (domain.recipients or domain.aliases or domain.catch_all or domain.call_ahead):
            yield (
                f"domain {domain.name} has no recipients: all its mail would be refused",
                "list its local parts, or say parked=True",
            )
        for local_part in domain.recipients:
            if not LOCAL_PART.match(local_part):
                yield (
                    f"domain {domain.name}: recipient {local_part!r} is not a local part",
                    "write the part before the @",
                )
        yield from twice(f"recipient of {domain.name}", list(domain.recipients))


def accounts(fleet: Fleet) -> Iterator[Problem]:
    """Who submits mail does so from a domain that the fleet signs for."""
    yield from twice("account", [account.address for account in fleet.accounts])
    sending = {domain.name for domain in fleet.domains if not domain.parked}
    for account in fleet.accounts:
        for address in (account.address, *account.also):
            local_part, _, domain = address.rpartition("@")
            if not LOCAL_PART.match(local_part) or domain not in sending:
                yield (
                    f"account {address}: {domain or 'no domain'} is not a sending domain of this fleet",
                    "add the Domain, or mend the address",
                )
    if fleet.accounts and not fleet.submission_hostname:
        yield (
            "accounts but no submission_hostname",
            "name the host that mail programs use, e.g. submit.example.org",
        )


def zones(fleet: Fleet) -> Iterator[Problem]:
    """Every domain and host name lies in a zone, where zones are given at all.

    Of a domain whose owner keeps its zone, `_domainkey` may be a zone of its own that he delegated.
    """
    yield from twice("zone", [zone.name for zone in fleet.zones])
    if not fleet.zones:
        return
    zone_names = {zone.name for zone in fleet.zones}
    kept = [domain.name for domain in fleet.domains if f"_domainkey.{domain.name}" not in zone_names]
    for name in [*kept, *all_hostnames(fleet)]:
        if not any(name == zone or name.endswith(f".{zone}") for zone in zone_names):
            yield (
                f"{name} is in none of the fleet's zones",
                f"add a Zone, or _domainkey.DOMAIN alone, or leave zones empty; zones: {', '.join(sorted(zone_names))}",
            )


def periods(fleet: Fleet) -> Iterator[Problem]:
    """Periods of seconds are for a laboratory; in production they lose mail."""
    if fleet.policy.dmarc not in ("none", "quarantine", "reject"):
        yield f"policy.dmarc {fleet.policy.dmarc!r} is not none, quarantine or reject", "see RFC 9989 §4.7"
    if fleet.policy.mta_sts not in ("none", "testing", "enforce"):
        yield f"policy.mta_sts {fleet.policy.mta_sts!r} is not none, testing or enforce", "see RFC 8461 §3.2"
    for name in ("reports", "tls_reports"):
        address = getattr(fleet.policy, name)
        local_part, _, domain = address.rpartition("@")
        if address and not (LOCAL_PART.match(local_part) and is_hostname(domain)):
            yield f"policy.{name} {address!r} is not an address", "e.g. reports@example.org"
    if fleet.policy.message_size < 1024 * 1024:
        yield (
            f"policy.message_size {fleet.policy.message_size} is under 1 MiB",
            "most mail with a picture would be refused",
        )
    if fleet.policy.retry.warning < 0:
        yield f"policy.retry.warning {fleet.policy.retry.warning} s is negative", "0 is never"
    if fleet.policy.keys.drain < fleet.policy.retry.lifetime:
        yield (
            f"policy.keys.drain {fleet.policy.keys.drain} s is shorter than policy.retry.lifetime {fleet.policy.retry.lifetime} s",
            "queued mail would outlive the key that signed it",
        )
    for path, floor in FLOORS.items() if not fleet.laboratory else ():
        value: object = fleet.policy
        for part in path.split("."):
            value = getattr(value, part)
        if isinstance(value, int) and value < floor:
            yield (
                f"policy.{path} is {value} s, below the floor of {floor} s",
                "only a laboratory fleet may go lower",
            )


def certificates(fleet: Fleet) -> Iterator[Problem]:
    """An authority is asked by HTTPS, under a name that CAA records can bear."""
    if fleet.acme is None:
        return
    if not fleet.acme.directory.startswith("https://"):
        yield (
            f"acme.directory {fleet.acme.directory!r} is not an https:// address",
            "RFC 8555 §6.1 wants HTTPS",
        )
    if not is_hostname(fleet.acme.issuer):
        yield (
            f"acme.issuer {fleet.acme.issuer!r} is not a domain",
            "what CAA records call it, e.g. letsencrypt.org",
        )
    if not fleet.zones:
        yield (
            "acme without zones: certificates are had by records in DNS",
            "add zones, or import certificates",
        )


def laboratory(fleet: Fleet) -> Iterator[Problem]:
    """A laboratory's relaxed rules never reach a public address."""
    public = [str(address) for address in fleet.peer_addresses if address.is_global]
    if fleet.laboratory and public:
        yield f"laboratory fleet with the public address {public[0]}", "take laboratory=True away"


CHECKS: tuple[Callable[[Fleet], Iterator[Problem]], ...] = (
    names, addresses, service, access, domains, routes, relays, aliases, forwarding, accounts, zones, receiving,
    periods, certificates, laboratory,
    sending,
)  # fmt: skip
