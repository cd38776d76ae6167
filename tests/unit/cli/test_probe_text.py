"""What a probe comes to, in words: refused, filtered and intercepted are told apart, and each has a next command."""

import msgspec
import pytest

from mxfleet.cli.probe_text import told, verdict
from mxfleet.mxd.probe_report import Line, Port, Report, TlsFacts, Tried

TLS = TlsFacts(
    version="TLSv1.3", cipher="TLS_A", names=("mx.b.test",), issuer="CN=x", until="2027-01-01T00:00:00"
)


def report(port: Port = "open", **facts: object) -> Report:
    made = Report(host="mx.b.test", port=25, node="mx1", domain="b.test")
    made.tried = [Tried("192.0.2.9", port, 0.01, "192.0.2.1:40000")]
    made.greeted_as, made.greeted_at, made.code, made.stage = "mx.b.test", ("192.0.2.9",), 250, "hello"
    for name, value in facts.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize(
    ("given", "word", "sentence"),
    [
        (report("refused"), "refused", "port 25 was refused: the host is there, and nothing listens, or a firewall"),
        (report("filtered", control="port 443 is open"), "filtered", "port 25 keeps silent although the host is there (port 443 is open)"),
        (report("filtered"), "filtered", "port 25 keeps silent, and so do other ports"),
        (report("unreachable"), "unreachable", "there is no way to the host"),
        (report(tried=[]), "nameless", "the DNS has no address of mx.b.test"),
        (report(greeted_as="proxy.isp.test", greeted_at=("198.51.100.1",)), "intercepted", "proxy.isp.test answers at 192.0.2.9"),
        (report(offered=("PIPELINING", "XXXXXXXA")), "intercepted", "something on the way rewrites what it offers"),
        (report(code=554, stage="greeting", lines=[Line(0.1, "them", "554 5.7.1 go away")]), "refused", "at greeting: 554 5.7.1 go away"),
        (report(code=451, stage="rcpt", lines=[Line(0.1, "them", "451 4.7.1 later")]), "refused for now", "at rcpt: 451 4.7.1 later"),
        (report(code=220, stage="handshake", lines=[Line(0.1, "note", "the TLS handshake failed: wrong version number")]), "TLS fails", "the TLS handshake failed: wrong"),
        (report(code=0, stage="greeting", lines=[Line(0.1, "note", "no reply within 30 s")]), "silent", "the port is open and nobody speaks"),
        (report(tls=msgspec.structs.replace(TLS, dane="no record matches the host's certificate")), "DANE fails", "no record matches"),
        (report(tls=msgspec.structs.replace(TLS, authority="certificate has expired"), rule="MTA-STS enforce"), "MTA-STS fails", "certificate has expired: mail waits"),
        (report(rule="MTA-STS enforce"), "MTA-STS fails", "it offers no TLS"),
        (report(tls=TLS), "good", "it takes mail, with TLSv1.3"),
        (report(stage="rcpt"), "good", "the recipient is taken, in the clear"),
    ],
)  # fmt: skip
def test_each_finding_has_a_word_a_sentence_and_a_next_command(
    given: Report, word: str, sentence: str
) -> None:
    found = verdict(given)
    assert (found.word, found.sentence[: len(sentence)]) == (word, sentence)
    assert found.next


@pytest.mark.parametrize(
    "tls", [TLS, msgspec.structs.replace(TLS, authority="self-signed certificate", dane="")]
)
def test_who_proves_to_be_the_host_may_call_itself_what_it_likes(tls: TlsFacts) -> None:
    assert verdict(report(greeted_as="mail.big.test", tls=tls)).word == "good"


def test_another_name_for_the_same_address_is_no_interception() -> None:
    assert verdict(report(greeted_as="server7.host.test", greeted_at=("192.0.2.9",))).word == "good"


def test_the_whole_is_a_dialogue_with_times_and_facts() -> None:
    lines = [
        Line(0.012, "them", "220 mx.b.test ESMTP"),
        Line(0.013, "us", "EHLO mx1.corp.test"),
        Line(0.2, "note", "TLS: x"),
    ]
    given = report(
        lines=lines,
        tls=msgspec.structs.replace(TLS, dane=""),
        dane="TLSA of mx.b.test",
        mta_sts="enforce, for mx.b.test",
    )
    assert told(given) == [
        "mx.b.test port 25, from mx1",
        "  192.0.2.9 from 192.0.2.1:40000: port 25 is open after 0.010 s",
        "    0.012 s  < 220 mx.b.test ESMTP",
        "    0.013 s  > EHLO mx1.corp.test",
        "    0.200 s  · TLS: x",
        "  TLS: TLSv1.3 with TLS_A",
        "  certificate: for mx.b.test, by CN=x, until 2027-01-01",
        "  authority: believed by the fleet, and for this name",
        "  DANE: the certificate is the published one (TLSA of mx.b.test)",
        "  MTA-STS of b.test: enforce, for mx.b.test",
        "good: it takes mail, with TLSv1.3",
        "next: mxfleet queue list --domain b.test",
    ]
