"""AUTH: the throttle first, then the password, then what the log may know of it."""

from typing import Final

from mxfleet.mail.reply import Reply
from mxfleet.mail.smtp import replies
from mxfleet.mail.smtp.events import Auth
from mxfleet.mxd.accounts import Account
from mxfleet.mxd.desk import Desk

THROTTLED: Final = Reply(454, "4.7.0", "Too many failed logins, try again later")  # RFC 4954 §6
BUSY: Final = Reply(454, "4.7.0", "Too many logins at once, try again later")


async def login(desk: Desk, client: str, event: Auth) -> Account | Reply:
    """The account that these credentials prove, or the refusal (RFC 4954 §4: 535 5.7.8).

    Who comes in counts as one session of his until `desk.admission.leave_user`.
    """
    accounts, log = desk.configuration.accounts, desk.log.bind(client=client, username=event.username[:256])
    if accounts.busy:
        desk.counters.add("logins_throttled")
        return BUSY
    if desk.throttle.begin(event.username, client) > 0:
        desk.counters.add("logins_throttled")
        log.warning("login throttled", limit="login_failures")
        return THROTTLED
    right = await accounts.verify(event.username, event.password)
    account = accounts.account(event.username)
    if not right or account is None:
        desk.counters.add("logins_failed")
        log.warning("login failed")
        return replies.BAD_CREDENTIALS
    desk.throttle.succeeded(event.username, client)
    refusal = desk.admission.enter_user(account.address, client)
    if refusal is not None:
        return refusal
    desk.counters.add("logins")
    log.info("login")
    return account
