"""The MTA-STS policy of a fleet (RFC 8461): one text for DNS, which announces it, and for the nodes, which serve it."""

import hashlib

from mxfleet.fleet.model import Fleet

PATH = "/.well-known/mta-sts.txt"


def announced_exchanges(fleet: Fleet) -> tuple[str, ...]:
    """The names that MX records point to, the preferred one first."""
    nodes = (node.hostname for node in fleet.nodes) if fleet.service else ()
    return tuple(dict.fromkeys((fleet.mx_hostname, *nodes)))


def policy_hosts(fleet: Fleet) -> tuple[str, ...]:
    """The names under which the nodes serve the policy (RFC 8461 §3.3), where there is one."""
    if fleet.policy.mta_sts == "none":
        return ()
    return tuple(f"mta-sts.{domain.name}" for domain in fleet.domains if not domain.parked)


def policy_text(fleet: Fleet) -> str:
    """The policy (RFC 8461 §3.2, which takes LF as well as CRLF), the same for all domains: what nodes serve by HTTPS."""
    lines = ["version: STSv1", f"mode: {fleet.policy.mta_sts}"]
    lines += [f"mx: {name}" for name in announced_exchanges(fleet)]
    lines += [f"max_age: {fleet.policy.mta_sts_max_age}"]
    return "".join(f"{line}\n" for line in lines)


def policy_id(fleet: Fleet) -> str:
    """The id that announces it: a hash, so that it is new exactly when the policy is (1 to 32 letters and digits)."""
    return hashlib.sha256(policy_text(fleet).encode()).hexdigest()[:32]
