"""How much one client may have of each node of the exchange."""

from dataclasses import dataclass

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Counted over all processes of a node; 0 is no limit; the fleet's admin networks and nodes are exempt.

    `sessions` are all that a node serves at a time, `sessions_…` those of one client. `connections_…` and
    `messages_per_address` are a minute's, `messages_per_user` and `recipients_per_user` an hour's, for users who
    authenticated. Prefixes are those of `prefix4` and `prefix6` bits. After `login_failures_…` each further wrong
    password costs a pause, doubled each time up to `login_pause` seconds. `memory` is octets of messages on their
    way through one process.
    """

    sessions: int = 1000
    sessions_per_address: int = 50
    sessions_per_prefix: int = 150
    sessions_per_user: int = 20
    connections_per_address: int = 300
    connections_per_prefix: int = 900
    messages_per_address: int = 0
    messages_per_user: int = 600
    recipients_per_user: int = 3000
    login_failures_per_user: int = 5
    login_failures_per_address: int = 20
    login_pause: float = 300.0
    prefix4: int = 24
    prefix6: int = 64
    memory: int = 64 * MEBIBYTE
