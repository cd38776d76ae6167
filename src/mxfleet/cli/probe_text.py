"""A probe's report in words: the dialogue with its times, what TLS, DANE and MTA-STS say, a verdict, the next command."""

import re
import shlex
from collections.abc import Iterator
from typing import NamedTuple

from mxfleet.mxd.probe_report import Report, TlsFacts

_MASKED = re.compile(r"X{4,}A?$")
_SIGNS = {"us": ">", "them": "<", "note": "·"}


class Verdict(NamedTuple):
    """What it comes to: a word for programs, a sentence, the next command or whom to ask."""

    word: str
    sentence: str
    next: str


def told(report: Report) -> list[str]:
    """The whole report."""
    found = verdict(report)
    lines = [f"{report.host} port {report.port}, from {report.node}"]
    lines += [f"  {_tried(report, place)}" for place in range(len(report.tried))]
    lines += [f"  {line.at:7.3f} s  {_SIGNS[line.side]} {line.text}" for line in report.lines]
    lines += [f"  {fact}" for fact in facts(report)]
    lines.append(f"{found.word}: {found.sentence}")
    lines.append(f"next: {found.next}")
    return lines


def _tried(report: Report, place: int) -> str:
    tried = report.tried[place]
    words = f" ({tried.words})" if tried.words else ""
    source = f" from {tried.source}" if tried.source else ""
    return f"{tried.address}{source}: port {report.port} is {tried.port} after {tried.seconds:.3f} s{words}"


def facts(report: Report) -> Iterator[str]:
    """TLS, DANE and MTA-STS, a line each."""
    if report.tls is not None:
        yield from _tls(report.tls)
    if report.tls is not None and report.tls.dane is not None:
        yield f"DANE: {report.tls.dane or 'the certificate is the published one'} ({report.dane})"
    else:
        yield f"DANE: {report.dane or 'no signed TLSA records: it asks for nothing'}"
    where = f" of {report.domain}" if report.domain else ""
    yield f"MTA-STS{where}: {report.mta_sts or 'no policy'}"


def _tls(tls: TlsFacts) -> Iterator[str]:
    yield f"TLS: {tls.version} with {tls.cipher}"
    yield f"certificate: for {', '.join(tls.names) or 'no name'}, by {tls.issuer}, until {tls.until[:10]}"
    yield f"authority: {tls.authority or 'believed by the fleet, and for this name'}"


def verdict(report: Report) -> Verdict:
    """What it comes to, the gravest first."""
    if report.opened is None:
        return _shut(report)
    return _intercepted(report) or _broken(report) or _unfit(report) or _good(report)


def _shut(report: Report) -> Verdict:
    """RFC 9293: a reset is somebody's answer, silence nobody's."""
    port, again = report.port, f"mxfleet probe {_name(report)}"
    kinds = {tried.port for tried in report.tried}
    if not kinds:
        return Verdict("nameless", f"the DNS has no address of {report.host}", f"dig {report.host} A AAAA")
    if "refused" in kinds:
        return Verdict(
            "refused",
            f"port {port} was refused: the host is there, and nothing listens, or a firewall on the way says no",
            f"{again} --from ANOTHER-NODE; refused there as well: ask the administrator of {report.host}",
        )
    if "filtered" not in kinds:
        words = next((tried.words for tried in report.tried), "")
        return Verdict(
            "unreachable", f"there is no way to the host: {words}", "ip route get " + report.tried[0].address
        )
    if report.control:
        return Verdict(
            "filtered",
            f"port {port} keeps silent although the host is there ({report.control}): somebody drops it on the way",
            f"{again} --from ANOTHER-NODE; silent from all nodes: ask our provider whether outgoing port {port} is blocked",
        )
    return Verdict(
        "filtered",
        f"port {port} keeps silent, and so do other ports: dropped on the way, or the host is down",
        f"{again} --from ANOTHER-NODE --capture",
    )


def _intercepted(report: Report) -> Verdict | None:
    """Somebody else answers: it calls itself by a name that is elsewhere, and proves no other."""
    masked = [word for word in report.offered if _MASKED.match(word)]
    capture = f"mxfleet probe {_name(report)} --from ANOTHER-NODE --capture"
    if masked:
        return Verdict(
            "intercepted",
            f"something on the way rewrites what it offers ({masked[0]}): a firewall's SMTP inspection",
            capture,
        )
    opened = report.opened
    if _proven(report) or not report.greeted_as or opened is None:
        return None
    if report.greeted_as == report.host or opened.address in report.greeted_at:
        return None
    shown = f", with a certificate for {', '.join(report.tls.names[:3])}" if report.tls else ""
    return Verdict(
        "intercepted",
        f"{report.greeted_as} answers at {opened.address}{shown}, which is not {report.host}: "
        "somebody answers in its place, or its DNS is wrong",
        capture,
    )


def _proven(report: Report) -> bool:
    """Whether a certificate shows that it is the host."""
    return report.tls is not None and (
        report.tls.dane == "" or (report.tls.dane is None and not report.tls.authority)
    )


def _broken(report: Report) -> Verdict | None:
    last = next((line.text for line in reversed(report.lines) if line.side != "us"), "")
    if report.code >= 400:
        what = "refused for now" if report.code < 500 else "refused"
        words = next(
            (line.text for line in reversed(report.lines) if line.text.startswith(str(report.code))), ""
        )
        return Verdict(what, f"at {report.stage}: {words}", _then(report))
    if report.stage == "handshake" and report.tls is None:
        return Verdict("TLS fails", last, _then(report))
    if report.stage == "greeting" and not report.code:
        return Verdict(
            "silent",
            f"the port is open and nobody speaks: {last}",
            f"mxfleet probe {_name(report)} --capture",
        )
    return None


def _unfit(report: Report) -> Verdict | None:
    """What the exchange would refuse to send to, although the host answers."""
    tls = report.tls
    if tls is not None and tls.dane:
        return Verdict(
            "DANE fails", f"{tls.dane}: mail waits until it is mended", f"tell {report.host}'s administrator"
        )
    if "enforce" in report.rule and (tls is None or tls.authority):
        reason = tls.authority if tls else "it offers no TLS"
        return Verdict(
            "MTA-STS fails", f"{reason}: mail waits until it is mended", f"tell {report.host}'s administrator"
        )
    return None


def _good(report: Report) -> Verdict:
    how = "in the clear"
    if report.tls is not None:
        how = f"with {report.tls.version}"
    whom = "the recipient is taken" if report.stage == "rcpt" else "it takes mail"
    return Verdict("good", f"{whom}, {how}", _then(report))


def _then(report: Report) -> str:
    return f"mxfleet queue list --domain {report.domain}" if report.domain else "mxfleet queue summary"


def _name(report: Report) -> str:
    return shlex.quote(report.host if report.port == 25 else f"{report.host}:{report.port}")
