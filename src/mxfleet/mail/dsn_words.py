"""What a delivery status notification says to a human being, in plain words and without blame."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

MAX_WORDS: Final = 900  # of one host's reply; lines stay within RFC 5322 §2.1.1


@dataclass(frozen=True, slots=True)
class Told:
    """One recipient: what happened, the address, the reply, whose it was, and until when it is tried."""

    action: str
    recipient: str
    reply: str
    host: str
    until: str


# The gravest first: it names the message; each with its heading in the text.
_HEADINGS: Final = {
    "failed": "Your message could not be delivered to:",
    "delayed": "Your message has not been delivered yet; it need not be sent again. It is still on its way to:",
    "relayed": "Your message was passed on to hosts that send no word of its delivery. It went to:",
    "expanded": "Your message was passed on to all whom these addresses stand for:",
    "delivered": "Your message was delivered to:",
}
_SUBJECTS: Final = {
    "failed": "Your message could not be delivered",
    "delayed": "Your message is delayed",
    "relayed": "Your message was passed on",
    "expanded": "Your message was passed on",
    "delivered": "Your message was delivered",
}


def subject(actions: Sequence[str]) -> str:
    """What the gravest of these actions is called."""
    return next(words for action, words in _SUBJECTS.items() if action in actions)


def explanation(hostname: str, trace: str, told: Sequence[Told]) -> str:
    """The text, CRLF line endings; ASCII where the addresses are."""
    lines = [f"This is the mail system at {hostname}."]
    for action, heading in _HEADINGS.items():
        group = [one for one in told if one.action == action]
        if group:
            lines += ["", heading]
        for one in group:
            lines += ["", f"  <{one.recipient}>", *_reasons(one)]
    return "".join(f"{line}\r\n" for line in [*lines, "", f"Our reference is {trace}."])


def _reasons(one: Told) -> list[str]:
    said = f"{one.host} said: " if one.host else ""
    lines = [_plain(f"    {said}{one.reply}")[:MAX_WORDS]] if one.action in ("failed", "delayed") else []
    return [*lines, f"    It is tried until {one.until}."] if one.until else lines


def _plain(text: str) -> str:
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in text)
