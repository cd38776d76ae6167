"""The periods and limits that a fleet may choose; the defaults are those of a production exchange."""

from dataclasses import dataclass, field

from mxfleet.fleet.limits import Limits
from mxfleet.fleet.receiving import CallAhead, Greylist, Receiving, Rspamd

MINUTE, HOUR, DAY = 60, 3600, 86400


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """When a deferred message is tried again: doubling from `first` to `longest`, given up after `lifetime`.

    Its sender is told of the delay after `warning`, once; 0 is never. Units: seconds. RFC 5321 §4.5.4.1 asks for a first retry after about 30 minutes and 4-5 days in all.
    """

    first: int = 5 * MINUTE
    longest: int = 4 * HOUR
    lifetime: int = 5 * DAY
    warning: int = 4 * HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPeriods:
    """How long each step in the life of a key lasts, in seconds; `rotate` 0 is never by itself."""

    rotate: int = 90 * DAY
    ttl: int = HOUR
    visible: int = 75 * MINUTE
    drain: int = 7 * DAY
    revoked: int = 30 * DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Limits of the service and the periods of its keys and records.

    `message_size` is in octets; `record_ttl` in seconds; `workers` is processes, 0 for one per core. `reports`
    is where DMARC aggregate reports go (RFC 9990), `tls_reports` TLS reports (RFC 8460): addresses, or nothing.
    `mta_sts` is `none`, `testing` or `enforce` (RFC 8461): its policy must be served by HTTPS before it is announced.
    `evidence` has SPF, DKIM, DMARC and ARC of mail from elsewhere looked at, `receiving` says what that leads to;
    `dns_lists` are the zones of lists whose entries are refused as well, `rspamd` is who judges content, None for
    nobody. Without evidence none of them is asked. `limits` are what one client may have; `greylist` and
    `call_ahead` hold where `receiving` and domains say so.
    """

    message_size: int = 50 * 1024 * 1024
    recipients: int = 100
    workers: int = 0
    record_ttl: int = HOUR
    dmarc: str = "reject"
    reports: str = ""
    tls_reports: str = ""
    mta_sts: str = "none"
    mta_sts_max_age: int = 7 * DAY
    evidence: bool = True
    dns_lists: tuple[str, ...] = ()
    receiving: Receiving = field(default_factory=Receiving)
    rspamd: Rspamd | None = field(default_factory=Rspamd)
    limits: Limits = field(default_factory=Limits)
    greylist: Greylist = field(default_factory=Greylist)
    call_ahead: CallAhead = field(default_factory=CallAhead)
    retry: Retry = field(default_factory=Retry)
    keys: KeyPeriods = field(default_factory=KeyPeriods)

    @property
    def scanner(self) -> Rspamd | None:
        """Who judges content, where anything is looked at."""
        return self.rspamd if self.evidence else None


FLOORS = {
    "retry.first": MINUTE,
    "retry.lifetime": DAY,
    "keys.ttl": 5 * MINUTE,
    "keys.visible": HOUR,
    "keys.drain": 6 * DAY,
    "keys.revoked": DAY,
    "record_ttl": 5 * MINUTE,
}
"""Below these a production fleet would lose mail; only a laboratory may go there."""
