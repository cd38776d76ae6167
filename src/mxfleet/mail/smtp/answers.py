"""The server engine's own positive answers, and which questions must be waited for."""

from typing import Final

from mxfleet.mail.smtp import events, replies

# Hello is missing: its answer depends on the session (`Session.welcome`).
ACCEPTED: Final[dict[type, bytes]] = {
    events.StartTls: replies.READY_FOR_TLS.render(),
    events.Auth: replies.AUTHENTICATED.render(),
    events.MailFrom: replies.SENDER_OK.render(),
    events.RcptTo: replies.RECIPIENT_OK.render(),
    events.DataStart: replies.SEND_DATA.render(),
    events.MessageComplete: replies.ACCEPTED.render(),
}
CHUNK_OK: Final = replies.CHUNK_OK.render()
# Only these may be accepted in a driver's own words; the others' are part of the protocol.
FREE_WORDS: Final = (events.MailFrom, events.RcptTo, events.MessageComplete)
# What the client must wait for before it speaks again (RFC 2920 §3.1, RFC 3207 §4, RFC 4954 §4).
LAST_OF_GROUP: Final = (events.Hello, events.StartTls, events.Auth, events.DataStart)
