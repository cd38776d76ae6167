"""Which TLS a connection to one mail host must have, decided from what is known of it: values in, a rule out.

The order is: what the operator says of the destination, else DANE (RFC 7672), else MTA-STS (RFC 8461), else
opportunistic (RFC 7435). RFC 8461 §2: MTA-STS never makes good what DANE finds wrong.
"""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from mxfleet.mail.dane import Requirement
from mxfleet.mail.mta_sts_policy import Policy
from mxfleet.mail.questions import Tlsa
from mxfleet.mail.reply import Reply

Wish: TypeAlias = Literal["", "none", "opportunistic", "encrypt", "verify", "dane"]
"""What the operator says of a destination; "" leaves it to what the destination publishes."""

Level: TypeAlias = Literal["none", "opportunistic", "encrypt", "verify", "dane", "refuse"]

WISHES: Final[tuple[Wish, ...]] = ("none", "opportunistic", "encrypt", "verify", "dane")


@dataclass(frozen=True, slots=True)
class Rule:
    """What a connection to a host must have.

    `none`: no TLS. `opportunistic`: TLS where it works, verified by nobody. `encrypt`: TLS, any certificate.
    `verify`: a certificate of a trusted authority for `names`. `dane`: one that a record of `records` matches.
    `refuse`: the host must not be used now; `refusal` says why. `policy` names who wants it so, in a word or two;
    `server_name` is sent as SNI. `trying`: a failure is told in the log and then overlooked (MTA-STS `testing`).
    `trust` is the file with the authorities, empty for the fleet's.
    """

    level: Level
    policy: str = ""
    reason: str = ""
    server_name: str = ""
    names: tuple[str, ...] = ()
    records: tuple[Tlsa, ...] = ()
    refusal: Reply | None = None
    trying: bool = False
    trust: str = ""

    @property
    def required(self) -> bool:
        """Whether nothing may be sent without TLS."""
        return self.level in ("encrypt", "verify", "dane") and not self.trying


OPPORTUNISTIC: Final = Rule("opportunistic")


def wished(wish: Wish, host: str, trust: str = "") -> Rule | None:
    """The rule that the operator's word alone decides; None where the DNS must be asked."""
    by, name = "the fleet's setting", host
    if wish == "none":
        return Rule("none", by, "no TLS is wanted")
    if wish == "opportunistic":
        return Rule("opportunistic", by, "TLS where it works")
    if wish == "encrypt":
        return Rule("encrypt", by, "TLS is required", server_name=name)
    if wish == "verify":
        return Rule("verify", by, "a verified certificate is required", name, (name,), trust=trust)
    return None


def decide(host: str, dane: Requirement, policy: Policy | None, wish: Wish = "") -> Rule:
    """The rule for one host, from its DANE requirement and the MTA-STS policy of the domain, None where it has none."""
    if dane.level == "defer":  # RFC 7672 §2.1.2: no answer is not "none": the host is as good as unreachable
        words = f"Nobody knows for now whether {host} requires TLS (DANE): {dane.reason}"
        return Rule("refuse", "DANE", dane.reason, refusal=Reply(451, "4.4.3", words))
    if dane.level == "authenticate":
        return Rule("dane", "DANE", dane.reason, dane.base, dane.names, dane.records)
    if wish == "dane":
        words = f"DANE is required for {host} by the fleet's setting, and there is none: {dane.reason}"
        return Rule("refuse", "the fleet's setting", dane.reason, refusal=Reply(450, "4.7.5", words))
    if dane.level == "encrypt":
        return Rule("encrypt", "DANE", dane.reason, dane.base)
    return _by_policy(host, policy)


def _by_policy(host: str, policy: Policy | None) -> Rule:
    """RFC 8461 §4, §5: `enforce` binds, `testing` only tells."""
    if policy is None or policy.mode == "none":
        return OPPORTUNISTIC
    trying, name = policy.mode == "testing", f"MTA-STS {policy.mode}"
    if policy.allows(host):
        return Rule("verify", name, "the policy of the domain", host, (host,), trying=trying)
    reason = f"{host} is none of the hosts in the domain's policy: {_some(policy.mx)}"
    if trying:
        return Rule("opportunistic", name, reason, trying=True)
    return Rule("refuse", name, reason, refusal=Reply(450, "4.7.5", f"MTA-STS: {reason}"))


def failure(rule: Rule, host: str, reason: str) -> Reply:
    """What to say of a host that did not keep the rule: who wants what, and what was found."""
    wanted = {
        "dane": "its certificate to be the published one",
        "verify": f"a certificate for {host} of a trusted authority",
    }.get(rule.level, "TLS")
    by = f"{rule.policy} requires {wanted}" if rule.policy else f"{wanted} is required"
    return Reply(450, "4.7.5", f"{by}, and {host} does not have it: {reason}")


def not_offered(rule: Rule, host: str) -> Reply:
    """What to say of a host that offers no STARTTLS although it must."""
    by = f"{rule.policy} requires TLS" if rule.policy else "TLS is required"
    return Reply(450, "4.7.4", f"{by}, and {host} does not offer it (no STARTTLS)")


def _some(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown
