"""Targets: who sent it. SPF, DKIM, ARC and DMARC, with answers from the DNS that are as hostile as the message."""

import contextlib
from ipaddress import IPv4Address, IPv6Address

from fuzz.inputs import Resolver, parts
from mxfleet.errors import MailError
from mxfleet.mail.arc import Chain
from mxfleet.mail.authentication_fields import render
from mxfleet.mail.authentication_results import parse
from mxfleet.mail.dkim.bodies import BodyHashes
from mxfleet.mail.dkim.record import parse_record
from mxfleet.mail.dkim.signature import parse_signature
from mxfleet.mail.dkim.tags import parse_tags
from mxfleet.mail.dkim.verify import Verifier
from mxfleet.mail.dmarc.check import check_dmarc, questions_ahead
from mxfleet.mail.dmarc.record import parse_dmarc_record, the_record
from mxfleet.mail.evidence import Evidence
from mxfleet.mail.message import Field, parse_headers, split_message
from mxfleet.mail.questions import drive
from mxfleet.mail.received_spf import ReceivedSpf
from mxfleet.mail.smtp.data import check_line_endings
from mxfleet.mail.spf.check import check_helo, check_mail_from
from mxfleet.mail.spf.macro import Session, parse_domain_spec, parse_explanation
from mxfleet.mail.spf.record import parse_spf_record
from mxfleet.mail.spf.result import Spf

CLIENTS = (IPv4Address("192.0.2.3"), IPv6Address("2001:db8::cb01"))
SESSION = Session(CLIENTS[0], "mx.a.test", "s.t-u", "a.b.test", "mx.corp.test", 0)
MOST_SPF, MOST_DKIM, MOST_DMARC = 150, 60, 60
"""Questions: ten terms, each with up to ten hosts and their addresses; keys; a walk up the tree for each name."""
NOW = 1_795_507_200


def spf_record(data: bytes) -> None:
    """A record and, as text, a macro string."""
    with contextlib.suppress(MailError):
        parse_spf_record(data)
    text = data.decode("latin-1")
    for read in (parse_domain_spec, parse_explanation):
        try:
            expanded = read(text).expand(SESSION, "a.b.test")
        except MailError:
            continue
        assert len(expanded) <= 2000 * (len(text) + 1)


def spf_check(data: bytes) -> None:
    """HELO, reverse-path, then what the DNS answers."""
    hello, sender, *answers = parts(data, 3)
    for address in CLIENTS:
        greeting, path = hello.decode("latin-1"), sender.decode("latin-1")
        verdict = drive(check_mail_from(address, greeting, path), Resolver(answers, MOST_SPF))
        assert len(verdict.explanation) <= 400
        helo = drive(check_helo(address, greeting), Resolver(answers, MOST_SPF))
        written(Evidence(address, greeting, path, helo=helo, spf=verdict))
        check_line_endings(
            ReceivedSpf.of(verdict, address=address, sender=path, hello=greeting, receiver="mx").render()
        )


def dkim_signature(data: bytes) -> None:
    """A signature field, a tag list, a key record."""
    for read in (
        lambda: parse_signature(Field(b"dkim-signature", b"DKIM-Signature:", data)),
        lambda: parse_tags(data.decode("latin-1")),
        lambda: parse_record(data.decode("latin-1")).public_key(),
    ):
        try:
            read()
        except MailError:
            continue


def dkim_verify(data: bytes) -> None:
    """A message, then its keys: DKIM and ARC, the body in pieces."""
    message, *answers = parts(data, 2)
    try:
        headers, body = split_message(message)
    except MailError:
        return
    verifier, chain = Verifier(headers, now=NOW), Chain(headers, now=NOW)
    bodies = BodyHashes(verifier.canonicalizations | chain.canonicalizations)
    for at in range(0, len(body), 7):
        bodies.update(body[at : at + 7])
    found = drive(verifier.verify(bodies), Resolver(answers, MOST_DKIM))
    arc = drive(chain.verify(bodies), Resolver(answers, 2 * MOST_DKIM))
    written(Evidence(CLIENTS[0], "a", "b", dkim=found, arc=arc))


def dmarc_record(data: bytes) -> None:
    """A record, alone and among others."""
    with contextlib.suppress(MailError):
        parse_dmarc_record(data)
    the_record([data, b"v=DMARC1; p=none"])


def dmarc_check(data: bytes) -> None:
    """A message, then what the DNS answers on the walk."""
    message, domain, *answers = parts(data, 3)
    try:
        headers, _ = split_message(message)
    except MailError:
        return
    assert len(questions_ahead(headers)) <= MOST_DMARC * 20
    spf = Spf("pass", "mailfrom", domain.decode("latin-1"), "", "", "")
    verdict = drive(check_dmarc(headers, spf, ()), Resolver(answers, MOST_DMARC * 20))
    assert verdict.disposition in ("none", "quarantine", "reject")
    written(Evidence(CLIENTS[0], "a", "b", spf=spf, dmarc=verdict))


def written(evidence: Evidence) -> None:
    """Whatever others said, what we write of it is one field, and read as what was meant."""
    results = evidence.results()
    (field,) = parse_headers(render("mx.corp.test", results)).fields
    read = parse(field.text)
    assert [f"{one.method}={one.result}" for one in read.results] == [line.split()[0] for line in results]
