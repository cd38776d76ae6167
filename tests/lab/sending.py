"""Octets, exactly as they are, from a guest to port 25 of an exchange; and what it answered to which command."""

import json
from dataclasses import dataclass

from mxfleet.lab import guests

SCRIPT = """
import json, smtplib, sys
server, source, hello, sender, recipient = sys.argv[1:]
message = sys.stdin.buffer.read()
with smtplib.SMTP(server, 25, local_hostname=hello, timeout=30, source_address=(source, 0)) as client:
    client.ehlo()
    for name, step in (
        ("MAIL", lambda: client.mail(sender)),
        ("RCPT", lambda: client.rcpt(recipient)),
        ("DATA", lambda: client.data(message)),
    ):
        code, text = step()
        if code >= 400:
            break
print(json.dumps({"command": name, "code": code, "text": text.decode()}))
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """The last reply, and the command that it answers."""

    command: str
    code: int
    text: str

    @property
    def trace(self) -> str:
        """The message's id, which stands in every answer to one."""
        if self.code < 400:
            return self.text.rpartition("accepted as ")[2]
        return self.text.rpartition("(")[2].rstrip(")")


def send(
    guest: str,
    message: bytes,
    server: str,
    source: str,
    sender: str = "carol@peer.test",
    recipient: str = "alice@corp.test",
    hello: str = "mx.peer.test",
) -> Answer:
    """Lines of the message end with CRLF."""
    command = ["python3", "-c", SCRIPT, server, source, hello, sender, recipient]
    done = guests.run(guest, command, input=message, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    return Answer(**json.loads(done.stdout))
