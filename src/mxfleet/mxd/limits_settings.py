"""`[limits]`: how much one client may have of an exchange; counted over all processes of a node."""

from mxfleet.mxd.receiving_settings import Strict

MINUTE, HOUR = 60, 3600


class LimitSettings(Strict, frozen=True):
    """`[limits]`: 0 is no limit; beside them `sessions` and `sessions_per_address` of `[service]`.

    `sessions_…` may be open at a time; `connections_…` are a minute's, `messages_…` of an address a minute's, of a
    user, who authenticated, an hour's, and so are his recipients. Prefixes are those of `prefix4` and `prefix6`
    bits. `login_failures_…` are let pass before each further one costs a pause, doubled each time up to
    `login_pause` seconds. For clients in `exempt_networks`, and for the fleet's own nodes, none of them holds but
    those of users. `memory` is octets of messages on their way through one process.
    """

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
    exempt_networks: tuple[str, ...] = ("127.0.0.1/32", "::1/128")
    memory: int = 67_108_864
