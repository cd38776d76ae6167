"""Each row: what was found, what the rules say, what becomes of the message."""

from ipaddress import ip_address
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from mxfleet.errors import SettingsError
from mxfleet.mail.arc import Arc
from mxfleet.mail.dkim.verify import Dkim
from mxfleet.mail.dmarc.check import Dmarc, DmarcResult
from mxfleet.mail.dmarc.record import Policy
from mxfleet.mail.dnsbl import Listing
from mxfleet.mail.evidence import Evidence
from mxfleet.mail.iprev import Iprev
from mxfleet.mail.spf.result import Spf
from mxfleet.mxd import policy
from mxfleet.mxd.decision import decide
from mxfleet.mxd.receiving_settings import PolicySettings
from mxfleet.mxd.rspamd import Spam
from mxfleet.mxd.rules import Rules

CLIENT = ip_address("192.0.2.7")
CLEAN = Evidence(CLIENT, "mx.peer.test", "a@peer.test", spf=Spf("pass", "mailfrom", "peer.test"))
FAILS = Spf("fail", "mailfrom", "peer.test", reason="-all of peer.test matches", explanation="see https://x")
DEFAULT = Rules.of(PolicySettings())


def dmarc(result: DmarcResult, asks: Policy = "none") -> Evidence:
    return replace(CLEAN, spf=None, dmarc=Dmarc(result, "peer.test", asks, "because"))


def rules(**settings: Any) -> Rules:
    return Rules.of(PolicySettings(**settings))


SPAM = Spam("reject", 15.0, 10.0, message="Gtube pattern")


@pytest.mark.parametrize(
    ("evidence", "spam", "applied", "reply"),
    [
        (CLEAN, None, DEFAULT, ""),
        (dmarc("pass", "reject"), None, DEFAULT, ""),
        (dmarc("none"), None, DEFAULT, ""),
        (dmarc("fail", "none"), None, DEFAULT, ""),
        (dmarc("fail", "quarantine"), None, DEFAULT, ""),
        (dmarc("fail", "quarantine"), None, rules(quarantine="reject"), "550 5.7.26"),
        (dmarc("fail", "reject"), None, DEFAULT, "550 5.7.26"),
        (dmarc("fail", "reject"), None, rules(dmarc="mark"), ""),
        (dmarc("fail", "reject"), None, rules(exempt_authors=("Peer.test",)), ""),
        (dmarc("fail", "reject"), None, rules(exempt_authors=("other.test",)), "550 5.7.26"),
        (dmarc("fail", "reject"), None, rules(exempt_networks=("192.0.2.0/24",)), ""),
        (dmarc("fail", "reject"), None, rules(exempt_networks=("2001:db8::/32",)), "550 5.7.26"),
        (dmarc("permerror"), None, DEFAULT, "550 5.7.1"),
        (dmarc("temperror"), None, DEFAULT, "451 4.4.3"),
        (dmarc("temperror"), None, rules(temporary="mark"), ""),
        (replace(CLEAN, dmarc=Dmarc("temperror", "peer.test", spf_aligned=True)), None, DEFAULT, ""),
        (replace(CLEAN, dmarc=Dmarc("temperror", "peer.test", dkim_aligned=True)), None, DEFAULT, ""),
        # whoever else answers for it says nothing of its author
        (replace(CLEAN, dmarc=Dmarc("temperror", "bank.test")), None, DEFAULT, "451 4.4.3"),
        (replace(dmarc("temperror"), dkim=(Dkim("pass", "evil.test"),)), None, DEFAULT, "451 4.4.3"),
        (replace(CLEAN, spf=FAILS), None, DEFAULT, ""),
        (replace(CLEAN, spf=FAILS), None, rules(spf="enforce"), "550 5.7.23"),
        (replace(dmarc("pass"), spf=FAILS), None, rules(spf="enforce"), ""),
        (replace(CLEAN, spf=replace(FAILS, result="softfail")), None, rules(spf="enforce"), ""),
        (CLEAN, SPAM, DEFAULT, "550 5.7.1"),
        (CLEAN, SPAM, rules(rspamd="mark"), ""),
        (CLEAN, replace_spam := msgspec.structs.replace(SPAM, action="greylist"), DEFAULT, "451 4.7.1"),
        (CLEAN, msgspec.structs.replace(replace_spam, action="soft reject"), DEFAULT, "451 4.7.1"),
        (CLEAN, Spam("add header", 7.0, 10.0), DEFAULT, ""),
        (CLEAN, Spam("unreachable", hold=True), DEFAULT, "451 4.3.0"),
        (CLEAN, Spam("unreachable"), DEFAULT, ""),
        (dmarc("temperror"), SPAM, DEFAULT, "550 5.7.1"),  # what is refused for good need not come again
    ],
)
def test_decisions(evidence: Evidence, spam: Spam | None, applied: Rules, reply: str) -> None:
    decision = decide(evidence, spam, applied, "1abc-mx1")
    if not reply:
        assert (decision.action, decision.reply) == ("accept", None)
        return
    assert decision.reply is not None
    assert str(decision.reply).startswith(reply)
    assert "1abc-mx1" in decision.reply.text
    assert decision.action == ("defer" if reply[0] == "4" else "reject")
    assert decision.reason


def test_a_chain_outweighs_a_failure_only_if_all_its_sealers_are_trusted() -> None:
    forwarded = replace(dmarc("fail", "reject"), arc=Arc("pass", sealers=("list.test", "hub.test")))
    assert decide(forwarded, None, rules(sealers=("list.test", "hub.test")), "t").action == "accept"
    for wrong in (("list.test",), ()):
        assert decide(forwarded, None, rules(sealers=wrong), "t").action == "reject"
    broken = replace(forwarded, arc=Arc("fail", sealers=("list.test", "hub.test")))
    assert decide(broken, None, rules(sealers=("list.test", "hub.test")), "t").action == "reject"


def test_what_is_accepted_in_spite_of_something_is_marked() -> None:
    assert decide(dmarc("fail", "quarantine"), None, DEFAULT, "t").marks == (
        ("X-Quarantine", "DMARC fail, as peer.test asks"),
    )
    assert decide(CLEAN, Spam("add header", 7.0, 10.0), DEFAULT, "t").marks == (
        ("X-Spam", "yes, 7.0 of 10.0"),
    )
    assert decide(CLEAN, None, DEFAULT, "t").marks == ()


def test_the_domain_explains_its_spf_itself() -> None:
    refused = decide(replace(CLEAN, spf=FAILS), None, rules(spf="enforce"), "t").reply
    assert refused is not None
    assert "peer.test explains: see https://x" in refused.text


LISTED = Listing("zen.test", "listed", ("spam source",))


@pytest.mark.parametrize(
    ("iprev", "listings", "applied", "reply"),
    [
        (Iprev("permerror", reason="no name"), (), DEFAULT, ""),
        (Iprev("permerror", reason="no name"), (), rules(iprev="enforce"), "550 5.7.25"),
        (Iprev("fail", reason="not back"), (), rules(iprev="enforce"), "550 5.7.25"),
        (Iprev("temperror", reason="?"), (), rules(iprev="enforce"), "451 4.7.25"),
        (Iprev("temperror", reason="?"), (), rules(iprev="enforce", temporary="mark"), ""),
        (Iprev("pass", "mx.peer.test"), (LISTED,), DEFAULT, "550 5.7.1"),
        (Iprev("pass", "mx.peer.test"), (LISTED,), rules(lists="mark"), ""),
        (Iprev("pass", "mx.peer.test"), (LISTED,), rules(exempt_networks=("192.0.2.7",)), ""),
        (Iprev("pass"), (Listing("zen.test", "error", reason="127.255.255.254"),), DEFAULT, ""),
        (Iprev("pass"), (Listing("zen.test", "temperror"),), DEFAULT, ""),
    ],
)
def test_clients(iprev: Iprev, listings: tuple[Listing, ...], applied: Rules, reply: str) -> None:
    found = policy.client(CLIENT, iprev, listings, applied)
    assert str(found or "").startswith(reply)
    assert (found is None) == (not reply)


@pytest.mark.parametrize(
    "settings", [{"exempt_networks": ("192.0.2.7/24",)}, {"exempt_authors": ("a b..",)}, {"sealers": ("",)}]
)
def test_rules_that_cannot_be_read_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        rules(**settings)
