"""Runs inside a guest with its bare python3: reads one job (JSON) on standard input, does it, writes the result.

Never imported there: `letters` passes this file's text to `python3 -c`. Standard library only. Passwords come
with the job on standard input, so that none stands in a process list.
"""

import imaplib
import json
import smtplib
import ssl
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

Job = dict[str, Any]


def send(job: Job) -> Job:
    """Hand the message to a server, by STARTTLS and AUTH where the job says so; the reply to the final dot."""
    with smtplib.SMTP(
        job["host"], job["port"], local_hostname=job.get("helo"), timeout=job["wait"]
    ) as client:
        client.ehlo()
        if job.get("authority"):
            context = ssl.create_default_context(cadata=job["authority"])
            client.starttls(context=context)
            client.ehlo()
        if job.get("password"):
            client.login(job["sender"], job["password"])
        options = "BODY=8BITMIME" if client.has_extn("8bitmime") else ""
        steps: tuple[Callable[[], tuple[int, bytes]], ...] = (
            lambda: client.mail(job["sender"], [options] if options else []),
            lambda: client.rcpt(job["recipient"]),
            lambda: client.data(job["message"].encode()),
        )
        for step in steps:
            code, text = step()
            if code >= 400:
                break
    return {"code": code, "reply": f"{code} {text.decode('utf-8', 'replace')}"}


def read_maildir(job: Job) -> Job:
    """Wait for the message whose text holds the token in a Maildir; its octets as Latin-1."""
    end = time.monotonic() + job["wait"]
    folders = [Path(job["maildir"]) / name for name in ("new", "cur")]
    while time.monotonic() < end:
        for path in (path for folder in folders if folder.is_dir() for path in folder.iterdir()):
            raw = path.read_bytes()
            if job["token"].encode() in raw:
                path.unlink()
                return {"message": raw.decode("latin-1")}
        time.sleep(0.05)
    return {"message": ""}


def read_imap(job: Job) -> Job:
    """Wait for the message whose Message-ID (or another `header`) holds the token in the user's INBOX; as Latin-1."""
    end = time.monotonic() + job["wait"]
    with imaplib.IMAP4(job["host"], job["port"], timeout=job["wait"]) as client:
        client.login(job["user"], job["password"])
        while time.monotonic() < end:
            client.select("INBOX")
            _, found = client.search(None, "HEADER", job.get("header", "Message-ID"), job["token"])
            if numbers := (found[0] or b"").split():
                _, parts = client.fetch(numbers[-1].decode(), "(BODY.PEEK[])")
                client.store(numbers[-1].decode(), "+FLAGS", "\\Deleted")
                client.expunge()
                part = parts[0]
                return {"message": part[1].decode("latin-1") if isinstance(part, tuple) else ""}
            time.sleep(0.05)
    return {"message": ""}


def scan(job: Job) -> Job:
    """Ask the rspamd of this guest what it thinks of a message as if it came from `ip`: its whole answer."""
    envelope = {"IP": job["ip"], "From": job["sender"], "Rcpt": job["recipient"], "Helo": job["helo"]}
    request = Request(job["url"], data=job["message"].encode("latin-1"), headers=envelope)  # noqa: S310
    with urlopen(request, timeout=job["wait"]) as answer:  # noqa: S310  (http on the guest's own loopback)
        return {"answer": json.load(answer)}


DOINGS = {"send": send, "maildir": read_maildir, "imap": read_imap, "scan": scan}


def main() -> None:
    """One job in, one result out; what went wrong is a result as well."""
    job = json.load(sys.stdin)
    try:
        result = DOINGS[job["do"]](job)
    except (OSError, smtplib.SMTPException, imaplib.IMAP4.error, ValueError) as error:
        result = {"error": f"{type(error).__name__}: {error}"}
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
