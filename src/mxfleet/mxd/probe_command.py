"""`mxd probe HOST[:PORT]`: what a mail host looks like from this node, as JSON; `mxfleet probe` puts it into words."""

import argparse
import sys
from contextlib import AbstractContextManager, nullcontext

import msgspec

from mxfleet.errors import ServiceError
from mxfleet.mxd import settings


def add(verb: argparse.ArgumentParser) -> None:
    """The words of the verb."""
    verb.add_argument("host", metavar="HOST[:PORT]", help="a host, an address, or a mail domain")
    way = verb.add_mutually_exclusive_group()
    way.add_argument("--starttls", dest="way", action="store_const", const="starttls", help="the default")
    way.add_argument("--tls", dest="way", action="store_const", const="tls", help="TLS from the first octet")
    way.add_argument("--plain", dest="way", action="store_const", const="plain", help="no TLS")
    verb.add_argument("--to", default="", metavar="ADDRESS", help="ask for a recipient; nothing is sent")
    verb.add_argument("--capture", action="store_true", help="keep the packets in a file; needs root")
    verb.set_defaults(verb=run, way="starttls")


def run(arguments: argparse.Namespace) -> int:
    """Look and say what was found."""
    from mxfleet.mxd.probe import Probe, Wish, look

    host, port = host_and_port(arguments.host)
    probe = Probe(settings.read(arguments.settings), Wish(host, port, arguments.way, checked(arguments.to)))
    watching: AbstractContextManager[None] = nullcontext()
    if arguments.capture:
        from mxfleet.mxd.probe_capture import capture

        watching = capture(probe.report.port, probe.report)
    with watching:
        look(probe)
    sys.stdout.write(msgspec.json.encode(probe.report).decode() + "\n")
    return 0


def host_and_port(text: str) -> tuple[str, int]:
    """`mx.example.org`, `mx.example.org:587`, `192.0.2.1:25`, `2001:db8::1`, `[2001:db8::1]:25`; ServiceError else."""
    host, colon, port = text.rpartition(":")
    if not colon or (":" in host and not host.endswith("]")):
        host, port = text, "0"
    host = host.strip("[]")
    if not host or not port.isascii() or not port.isdigit() or not 0 <= int(port[:6]) <= 65535:
        raise ServiceError(f"probe {text!r}: not a host, or a host and a port", hint="mx.example.org:25")
    return host, int(port)


def checked(address: str) -> str:
    """A recipient that can stand in a command, "" for none; raises AddressError."""
    from mxfleet.mail.address import parse_mailbox

    return str(parse_mailbox(address)) if address else ""
