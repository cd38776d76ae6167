"""Whether a client may have what it asks for: sessions, connections and messages by address, prefix and user."""

import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Final

import msgspec

from mxfleet.errors import SettingsError
from mxfleet.mail.reply import Reply
from mxfleet.mxd.limits_settings import HOUR, MINUTE
from mxfleet.mxd.observe import Log
from mxfleet.mxd.rules import Network, networks
from mxfleet.mxd.settings import Settings
from mxfleet.mxd.shares import Shares

QUIET: Final = 60.0  # seconds in which the log says once that a client is beyond a limit
REMEMBERED: Final = 1024  # of those of which the log has said so

# RFC 5321 §3.8: 421 closes the session; RFC 3463 §3.8: 4.7.x, policy, for now.
TOO_MANY_SESSIONS: Final = Reply(421, "4.7.0", "Too many connections of yours are open, try again later")
TOO_FAST: Final = Reply(421, "4.7.0", "Too many connections of yours in a short time, try again later")
TOO_MANY_OF_USER: Final = Reply(421, "4.7.0", "Too many sessions of this user are open, try again later")
TOO_MANY_MESSAGES: Final = Reply(450, "4.7.1", "Too many messages in a short time, try again later")
TOO_MANY_RECIPIENTS: Final = Reply(450, "4.7.1", "Too many recipients in a short time, try again later")


class Limit(msgspec.Struct, frozen=True):
    """What is counted by `key`: at most `most` of it; in `seconds`, or at a time where they are 0."""

    name: str
    key: str
    most: int
    seconds: int = 0


class Admission:
    """Of one process; what it counts, it counts together with the others."""

    def __init__(
        self, settings: Settings, shares: Shares, log: Log, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Raises SettingsError for exempt networks that are none."""
        self._settings = settings.limits
        self._per_address = settings.service.sessions_per_address
        self._shares = shares
        self._log = log
        self._clock = clock
        self._exempt = exempt_networks(settings)
        self._said: dict[tuple[str, str], float] = {}
        self._limits = lru_cache(maxsize=4096)(self._limits_of)  # a client comes again

    def enter(self, address: str) -> Reply | None:
        """A client connects: None, and `leave` is to be called when it has gone; or the refusal, and it is not."""
        limits = self._limits(address)
        for limit in limits:
            if limit.seconds and self._shares.count(limit.key, limit.seconds) > limit.most:
                return self._refused(limit, TOO_FAST, client=address)
        entered: list[str] = []
        for limit in limits:
            if limit.seconds:
                continue
            entered.append(limit.key)
            if self._shares.enter(limit.key) > limit.most:
                for key in entered:
                    self._shares.leave(key)
                return self._refused(limit, TOO_MANY_SESSIONS, client=address)
        return None

    def leave(self, address: str) -> None:
        """A client that entered has gone."""
        for limit in self._limits(address):
            if not limit.seconds:
                self._shares.leave(limit.key)

    def enter_user(self, user: str, address: str) -> Reply | None:
        """A user has proved who he is, as `enter`."""
        limit = Limit("sessions_per_user", f"user {user}", self._settings.sessions_per_user)
        if limit.most and self._shares.enter(limit.key) > limit.most:
            self._shares.leave(limit.key)
            return self._refused(limit, TOO_MANY_OF_USER, client=address, user=user)
        return None

    def leave_user(self, user: str) -> None:
        """As `leave`."""
        if self._settings.sessions_per_user:
            self._shares.leave(f"user {user}")

    def message(self, address: str, user: str, recipients: int) -> Reply | None:
        """A message is about to come; `user` is "" where nobody authenticated."""
        settings = self._settings
        if not user:
            most = settings.messages_per_address
            if not most or not self._limits(address):
                return None
            limit = Limit("messages_per_address", f"messages {address}", most, MINUTE)
            return self._counted(limit, 1, TOO_MANY_MESSAGES, client=address)
        messages = Limit("messages_per_user", f"messages {user}", settings.messages_per_user, HOUR)
        many = Limit("recipients_per_user", f"recipients {user}", settings.recipients_per_user, HOUR)
        return self._counted(messages, 1, TOO_MANY_MESSAGES, client=address, user=user) or self._counted(
            many, recipients, TOO_MANY_RECIPIENTS, client=address, user=user
        )

    def _counted(self, limit: Limit, amount: int, reply: Reply, **about: str) -> Reply | None:
        if limit.most and self._shares.count(limit.key, limit.seconds, amount) > limit.most:
            return self._refused(limit, reply, **about)
        return None

    def _limits_of(self, address: str) -> tuple[Limit, ...]:
        """What holds for a client's address, nothing where it is exempt."""
        found = ip_address(address) if address != "?" else None
        if found is None or any(found in network for network in self._exempt):
            return ()
        settings = self._settings
        bits = settings.prefix4 if found.version == 4 else settings.prefix6
        prefix = str(ip_network((found, bits), strict=False))
        limits = (
            Limit("connections_per_address", f"a {address}", settings.connections_per_address, MINUTE),
            Limit("connections_per_prefix", f"p {prefix}", settings.connections_per_prefix, MINUTE),
            Limit("sessions_per_address", f"a {address}", self._per_address),
            Limit("sessions_per_prefix", f"p {prefix}", settings.sessions_per_prefix),
        )
        return tuple(limit for limit in limits if limit.most)

    def _refused(self, limit: Limit, reply: Reply, **about: str) -> Reply:
        """The reply; the log says so once a minute, for whoever knocks a thousand times must not fill it."""
        now, key = self._clock(), (limit.name, limit.key)
        if now - self._said.get(key, -QUIET) >= QUIET:
            self._said.pop(key, None)
            self._said[key] = now
            if len(self._said) > REMEMBERED:
                del self._said[next(iter(self._said))]
            self._log.warning("limit reached", limit=limit.name, most=limit.most, reply=str(reply), **about)
        return reply


def exempt_networks(settings: Settings) -> tuple[Network, ...]:
    """Those for whom no limit of addresses and prefixes holds; SettingsError for what is no network."""
    return networks((*settings.limits.exempt_networks, *settings.service.peers), "limits.exempt_networks")


def wrong_limits(settings: Settings) -> Iterator[str]:
    """What of `[limits]` cannot be meant, one line each."""
    limits = settings.limits
    for name in limits.__struct_fields__:
        value = getattr(limits, name)
        if isinstance(value, int | float) and value < 0:
            yield f"limits.{name}: {value} is less than nothing"
    if not 1 <= limits.prefix4 <= 32:
        yield f"limits.prefix4: {limits.prefix4} is no length of an IPv4 prefix"
    if not 1 <= limits.prefix6 <= 128:
        yield f"limits.prefix6: {limits.prefix6} is no length of an IPv6 prefix"
    try:
        exempt_networks(settings)
    except SettingsError as error:
        yield str(error)
