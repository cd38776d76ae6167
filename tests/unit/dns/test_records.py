"""Records: TXT as octets whatever its chunks, names without regard to case, families by meaning."""

from ipaddress import IPv4Address, IPv6Address

import dns.name
import dns.rdata
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxfleet.dns.families import Family, family_of, is_spf, our_names
from mxfleet.dns.records import Record, address, by_name, from_rdata, mx, pointer, quoted, txt

from .samples import LAB, active_state

NAMES = our_names(LAB, active_state())


@given(st.binary(max_size=1200))
def test_any_octets_survive_the_way_to_text_and_back(content: bytes) -> None:
    record = txt("corp.test", 5, content)
    assert record.octets == content
    rdata = record.rdata()
    assert all(len(chunk) <= 255 for chunk in rdata.strings)  # type: ignore[attr-defined]
    assert from_rdata(dns.name.from_text("corp.test"), 5, rdata) == record
    assert record.value.isascii()
    assert record.value.isprintable()


@given(st.binary(max_size=600), st.lists(st.integers(1, 255), max_size=20))
def test_however_a_server_cuts_a_text_it_is_the_same_record(content: bytes, cuts: list[int]) -> None:
    chunks, rest = [], content
    for cut in cuts:
        chunks.append(rest[:cut])
        rest = rest[cut:]
    chunks += [rest[place : place + 255] for place in range(0, len(rest), 255)]
    text = " ".join(quoted(chunk) for chunk in chunks or [b""])
    rdata = dns.rdata.from_text("IN", "TXT", text)
    assert from_rdata(dns.name.from_text("corp.test"), 5, rdata) == txt("corp.test", 5, content)


def test_a_semicolon_does_not_begin_a_comment() -> None:
    assert txt("a.test", 5, b"v=DKIM1; k=rsa; p=AB").octets == b"v=DKIM1; k=rsa; p=AB"
    assert str(txt("a.test", 5, b'say "x;y"\\')) == 'a.test. 5 TXT "say \\"x;y\\"\\\\"'


def test_a_long_text_is_cut_at_255_octets_and_an_empty_one_is_one_empty_string() -> None:
    assert quoted(b"a" * 256) == f'"{"a" * 255}" "a"'
    assert quoted(b"") == '""'


def test_names_are_compared_without_regard_to_case() -> None:
    rdata = dns.rdata.from_text("IN", "MX", "10 Mail.Corp.TEST.")
    record = from_rdata(dns.name.from_text("CORP.test"), 5, rdata)
    assert record == mx("corp.test", 5, 10, "mail.corp.test")
    assert record.raw == "10 Mail.Corp.TEST."  # what the server holds, for the prerequisites


def test_records_are_written_as_a_zone_file_has_them() -> None:
    assert str(mx("parked.test", 5, 0, "")) == "parked.test. 5 MX 0 ."
    assert str(address("mx.corp.test", 5, IPv6Address("fd77:77::10"))) == "mx.corp.test. 5 AAAA fd77:77::10"
    assert str(pointer(IPv4Address("10.77.0.11"), 5, "mx1.corp.test")) == (
        "11.0.77.10.in-addr.arpa. 5 PTR mx1.corp.test."
    )


def test_records_are_listed_by_their_labels_from_the_right() -> None:
    names = ["b.a.test", "a.test", "z.test", "_dmarc.a.test", "a.b.a.test"]
    assert [r.name for r in by_name(txt(name, 5, b"") for name in names)] == [
        "a.test", "_dmarc.a.test", "b.a.test", "a.b.a.test", "z.test",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("record", "family"),
    [
        (mx("corp.test", 5, 5, "elsewhere.example"), Family.MX),
        (mx("www.corp.test", 5, 5, "elsewhere.example"), None),
        (txt("corp.test", 5, b"v=spf1 mx -all"), Family.SPF),
        (txt("corp.test", 5, b"V=SPF1"), Family.SPF),
        (txt("corp.test", 5, b"v=spf10"), None),
        (txt("corp.test", 5, b" v=spf1 mx"), None),
        (txt("corp.test", 5, b"google-site-verification=v=spf1 "), None),
        (txt("www.corp.test", 5, b"v=spf1 -all"), None),
        (txt("mx1.corp.test", 5, b"v=spf1 -all"), Family.SPF),
        (txt("_dmarc.corp.test", 5, b"v=DMARC1; p=none"), Family.DMARC),
        (txt("_dmarc.corp.test", 5, b"a note"), None),
        (txt("_dmarc.www.corp.test", 5, b"v=DMARC1; p=none"), None),
        (txt("r20261124-000001._domainkey.corp.test", 5, b"anything at all"), Family.DKIM),
        (txt("google._domainkey.corp.test", 5, b"v=DKIM1; p=AAAA"), None),
        (txt("*._domainkey.parked.test", 5, b"v=DKIM1; p=AAAA"), Family.DKIM),
        (address("mx1.corp.test", 5, IPv4Address("10.0.0.1")), Family.ADDRESS),
        (address("www.corp.test", 5, IPv4Address("10.0.0.1")), None),
        (pointer(IPv4Address("10.77.0.11"), 5, "elsewhere.example"), Family.PTR),
        (pointer(IPv4Address("10.77.0.99"), 5, "elsewhere.example"), None),
        (Record("submit.corp.test", "CNAME", "elsewhere.example.", 5), Family.ALIAS),
        (Record("www.corp.test", "CNAME", "elsewhere.example.", 5), None),
        (Record("corp.test", "NS", "ns.example.", 5), None),
        (Record("corp.test", "CAA", '0 issue "x"', 5), None),
    ],
    ids=str,
)
def test_what_a_record_says_of_mail_makes_it_ours_or_not(record: Record, family: Family | None) -> None:
    assert family_of(record, NAMES) is family


def test_spf_is_exactly_the_version_and_then_a_space_or_the_end() -> None:
    assert is_spf(b"v=spf1 ")
    assert not is_spf(b"v=spf1;")
