"""Reading what other servers wrote: Authentication-Results and Received."""

from mxfleet.lab.verdicts import (
    Verdict,
    authentication,
    forged_problems,
    inbound_problems,
    outbound_problems,
    parse_authentication,
    trace_of,
)

GOOD = (
    'mx.peer.test; dkim=pass header.d=corp.test header.s=r20261124-7f3c9a header.b="aB/c;d";'
    " dkim=pass header.d=corp.test header.s=e20261124-19b0c4;"
    " spf=pass (mx.peer.test: domain of alice@corp.test designates 10.77.0.11 as permitted sender)"
    " smtp.mailfrom=alice@corp.test; dmarc=pass (policy=reject) header.from=corp.test"
)


def test_a_field_of_rspamd_is_read_with_its_properties_and_without_its_comments() -> None:
    found = parse_authentication(GOOD)
    assert found.server == "mx.peer.test"
    assert found.verdicts[1] == Verdict(
        "dkim", "pass", {"header.d": "corp.test", "header.s": "e20261124-19b0c4"}
    )
    assert found.results("spf") == ("pass",)
    assert found.results("dmarc") == ("pass",)


def test_a_message_with_both_signatures_has_no_problem() -> None:
    assert outbound_problems(parse_authentication(GOOD), "corp.test") == []


def test_one_signature_is_not_two() -> None:
    one = GOOD.replace(
        "dkim=pass header.d=corp.test header.s=e2026", "dkim=fail header.d=corp.test header.s=e2026"
    )
    assert outbound_problems(parse_authentication(one), "corp.test") == [
        "not two DKIM signatures of corp.test that pass (RSA and Ed25519), but r20261124-7f3c9a=pass, e20261124-19b0c4=fail"
    ]


def test_a_signature_of_another_domain_does_not_count() -> None:
    other = GOOD.replace("header.d=corp.test header.s=e2026", "header.d=evil.test header.s=e2026")
    assert len(outbound_problems(parse_authentication(other), "corp.test")) == 1


def test_spf_and_dmarc_that_do_not_pass_are_named() -> None:
    bad = GOOD.replace("spf=pass", "spf=softfail").replace("; dmarc=pass (policy=reject)", "; x=y")
    assert outbound_problems(parse_authentication(bad), "corp.test") == [
        "spf=softfail at the peer, not pass",
        "dmarc=none at the peer, not pass",
    ]


def test_without_any_field_that_is_the_problem() -> None:
    assert outbound_problems(None, "corp.test") == ["the peer wrote no Authentication-Results"]


def test_only_the_topmost_field_of_the_border_counts() -> None:
    raw = (
        b"Authentication-Results: mx.peer.test;\r\n\tdmarc=fail header.from=corp.test\r\n"
        b"Authentication-Results: mx.peer.test; dmarc=pass header.from=corp.test\r\n"
        b"Subject: x\r\n\r\nAuthentication-Results: mx.peer.test; dmarc=pass\r\n"
    )
    found = authentication(raw, "MX.peer.test")
    assert found is not None
    assert found.results("dmarc") == ("fail",)
    assert authentication(raw, "mx.other.test") is None


def test_the_trace_is_that_of_our_own_host() -> None:
    raw = (
        b"Received: from mx3.corp.test (mx3.corp.test [10.77.0.13]) by mx.peer.test (Postfix)\r\n"
        b"\twith ESMTPS id 4F1A; Tue, 24 Nov 2026 08:00:00 +0000\r\n"
        b"Received: from office (office.corp.test [10.77.0.110])\r\n by mx3.corp.test (mxfleet) with ESMTPSA\r\n"
        b" id 01J2ABC; Tue, 24 Nov 2026 08:00:00 +0000\r\n\r\n"
    )
    assert trace_of(raw, ("mx1.corp.test", "mx3.corp.test")) == ("mx3.corp.test", "01J2ABC")
    assert trace_of(raw, ("mx1.corp.test",)) == ("", "")


def test_a_broken_signature_of_the_peer_is_told_with_the_words_of_its_verifier() -> None:
    broken = parse_authentication("world; dkim=fail (body hash did not verify) header.d=peer.test; spf=pass")
    assert inbound_problems(broken, "peer.test") == [
        "the signature of peer.test does not verify after our exchange: " + broken.text
    ]
    whole = parse_authentication("world; dkim=pass header.d=peer.test header.s=p1")
    assert inbound_problems(whole, "peer.test") == []


def test_a_forgery_is_seen_in_the_field_or_in_the_refusal_and_nowhere_else() -> None:
    assert forged_problems(parse_authentication("w; dmarc=fail header.from=corp.test"), "250 ok") == []
    assert forged_problems(None, "550 5.7.1 rejected by DMARC policy of corp.test") == []
    assert forged_problems(None, "550 5.7.1 spam") != []
    assert forged_problems(parse_authentication("w; dmarc=pass header.from=corp.test"), "250 ok") != []
    assert forged_problems(parse_authentication("w; spf=fail"), "250 ok") != []
