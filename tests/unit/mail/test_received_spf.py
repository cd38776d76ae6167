"""Received-SPF: what we write is what is read."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxfleet.errors import MessageError
from mxfleet.mail.message import parse_headers
from mxfleet.mail.received_spf import RESULTS, ReceivedSpf, parse_received_spf
from mxfleet.mail.spf.result import Spf

VALUES = st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=30)


@given(st.builds(ReceivedSpf, st.sampled_from(RESULTS), *[VALUES] * 7))
def test_what_is_written_is_read(field: ReceivedSpf) -> None:
    (written,) = parse_headers(field.render()).fields
    assert parse_received_spf(written.text) == field


def test_the_field_of_a_verdict() -> None:
    verdict = Spf("fail", "mailfrom", "a.test", "-all", "-all of a.test matches")
    field = ReceivedSpf.of(
        verdict,
        address=ip_address("2001:db8::1"),
        sender="a b@a.test",
        hello="h.a.test",
        receiver="mx.corp.test",
    )
    assert field.render().decode() == (
        'Received-SPF: fail client-ip="2001:db8::1"; envelope-from="a b@a.test";\r\n'
        "\thelo=h.a.test; receiver=mx.corp.test; identity=mailfrom; mechanism=-all;\r\n"
    )
    broken = Spf("permerror", "mailfrom", "a.test", reason="x" * 2000)
    field = ReceivedSpf.of(broken, address=ip_address("192.0.2.1"), sender="", hello="h", receiver="r")
    assert parse_received_spf(parse_headers(field.render()).fields[0].text).problem == "x" * 200
    assert b'envelope-from=""' in field.render()


def test_the_examples_of_rfc_7208() -> None:
    text = (
        "pass (mybox.example.org: domain of myname@example.com designates 192.0.2.1 as permitted sender)"
        ' receiver=mybox.example.org; client-ip=192.0.2.1; envelope-from="myname@example.com"; helo=foo.example.com;'
    )
    found = parse_received_spf(text)
    assert (found.result, found.client_ip, found.envelope_from) == ("pass", "192.0.2.1", "myname@example.com")
    text = (
        "fail (mybox.example.org: domain of myname@example.com does not designate 192.0.2.1 as permitted sender)"
        ' identity=mailfrom; client-ip=192.0.2.1; envelope-from="myname@example.com";'
    )
    assert parse_received_spf(text).identity == "mailfrom"


@pytest.mark.parametrize("text", ["", "passed", "pass (open", "pass client-ip", "pass =x", 'pass helo="open'])
def test_what_is_no_such_field(text: str) -> None:
    with pytest.raises(MessageError):
        parse_received_spf(text)
