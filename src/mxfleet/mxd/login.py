"""AUTH: the throttle first, then the password, then what the log may know of it."""

from typing import Final

from mxfleet.mail.reply import Reply
from mxfleet.mail.smtp import replies
from mxfleet.mail.smtp.events import Auth
from mxfleet.mxd.accounts import Account
from mxfleet.mxd.desk import Desk

THROTTLED: Final = Reply(454, "4.7.0", "Too many failed logins, try again later")  # RFC 4954 §6


async def login(desk: Desk, client: str, event: Auth) -> Account | Reply:
    """The account that these credentials prove, or the refusal (RFC 4954 §4: 535 5.7.8)."""
    throttle, log = desk.throttle, desk.log.bind(client=client, username=event.username[:256])
    keys = (f"address {client}", f"user {event.username.lower()[:256]}")
    if throttle.wait(*keys) > 0:
        desk.counters.add("logins_throttled")
        log.warning("login throttled")
        return THROTTLED
    accounts = desk.configuration.accounts
    right = await accounts.verify(event.username, event.password)
    account = accounts.account(event.username)
    if right and account is not None:
        throttle.succeeded(*keys)
        desk.counters.add("logins")
        log.info("login")
        return account
    throttle.failed(*keys)
    desk.counters.add("logins_failed")
    log.warning("login failed")
    return replies.BAD_CREDENTIALS
