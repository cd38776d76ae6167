"""mxd with a real unbound behind it: what a sender is told, in full, of mail that cannot go or is late."""

import email
import email.policy
import smtplib
from collections.abc import Callable
from datetime import datetime, timedelta
from email.message import EmailMessage, Message
from pathlib import Path
from typing import Any, cast

from tests.contract.nameservers import zone_text
from tests.contract.resolving import resolver
from tests.unit.mxd.conftest import PASSWORD, Service
from tests.unit.mxd.conftest import make_sink as make_sink
from tests.unit.mxd.conftest import service as service
from tests.unit.mxd.conftest import workshop as workshop

LATE = "RCPT TO:<bob@corp.test>"


def submit(service: Service, recipient: str, subject: str) -> None:
    raw = f"From: alice@corp.test\r\nSubject: {subject}\r\n\r\nthe body\r\n".encode()
    with smtplib.SMTP("127.0.0.1", service.ports["submission"], local_hostname="pc") as client:
        client.starttls()
        client.login("alice@corp.test", PASSWORD)
        client.sendmail("alice@corp.test", [recipient], raw)


def recipient_group(octets: bytes) -> Message:
    """The one group about a recipient (RFC 3464 §2.3) of a report."""
    report = email.message_from_bytes(octets, policy=email.policy.default)
    assert isinstance(report, EmailMessage)
    assert (report.get_content_type(), report.get_param("report-type")) == (
        "multipart/report",
        "delivery-status",
    )
    assert report["Auto-Submitted"] == "auto-replied"
    _, group = cast("list[Message]", list(report.iter_parts())[1].get_payload())
    return group


def test_mail_for_a_domain_that_takes_none_bounces_at_once(
    service: Service, make_sink: Callable[..., Any], tmp_path: Path
) -> None:
    office, never = make_sink(), make_sink(lmtp=False)
    service.settings["domain"][0]["route"]["port"] = office.port
    zone = zone_text(
        "none.test", "@ MX 0 .", "@ A 127.0.0.2"
    )  # the address is not the domain's mail host (RFC 7505)
    (tmp_path / "names").mkdir()
    with resolver(tmp_path / "names", {"none.test": zone}) as names:
        service.settings["delivery"] = {"resolver": names, "port": never.port}
        service.start()
        submit(service, "carol@none.test", "to nobody")
        sender, recipients, octets = office.wait_for(b"to nobody", 60.0)
        service.wait(lambda: service.waiting() == 0)
        (failed,) = service.log("failed")
    assert (sender.split()[1], recipients) == ("FROM:<>", ["RCPT TO:<alice@corp.test>"])
    group = recipient_group(octets)
    assert group["Action"] == "failed"
    assert group["Status"] == "5.1.10"
    assert group["Final-Recipient"] == "rfc822; carol@none.test"
    assert failed["reply"].startswith("556 5.1.10 ")
    assert failed["attempt"] == 1
    assert failed["reply"].removeprefix("556 5.1.10 ") in octets.decode()
    assert never.connections == 0


def test_a_delay_is_told_once_when_it_is_long_and_says_how_long_it_is_tried(
    service: Service, make_sink: Callable[..., Any]
) -> None:
    office = make_sink()
    office.replies[LATE] = "451 4.2.1 mailbox is being moved"
    service.settings["domain"][0]["route"]["port"] = office.port
    service.settings["retry"] = {"first": 1, "longest": 1, "lifetime": 300, "warning": 3}
    service.start()
    submit(service, "bob@corp.test", "late")
    sender, recipients, octets = office.wait_for(b"Action: delayed", 60.0)
    assert (sender.split()[1], recipients) == ("FROM:<>", ["RCPT TO:<alice@corp.test>"])
    group = recipient_group(octets)
    assert group["Status"] == "4.2.1"
    assert group["Final-Recipient"] == "rfc822; bob@corp.test"
    assert group["Diagnostic-Code"] == "smtp; 451 4.2.1 mailbox is being moved"
    assert group["Will-Retry-Until"]
    service.wait(lambda: bool(service.log("reported")))
    accepted, reported = (service.log(event)[0]["time"] for event in ("accepted", "reported"))
    assert datetime.fromisoformat(reported) - datetime.fromisoformat(accepted) > timedelta(seconds=1)
    before = len(service.log("deferred"))
    service.wait(lambda: len(service.log("deferred")) >= before + 2, 60.0)
    del office.replies[LATE]
    office.wait(lambda: any(to == [LATE] for _, to, _ in office.messages), 60.0)
    service.wait(lambda: service.waiting() == 0)
    assert sum(b"Action: " in body for _, _, body in office.messages) == 1
