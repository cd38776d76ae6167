"""The packets of a probe, written down on the node: bounded, and nothing but the probe's own.

tcpdump sees all of the host and port while the probe runs, which may be other mail; what is kept are the packets of
the probe's own ports. It authenticates nowhere, so they hold no password.
"""

import contextlib
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mxfleet.errors import ServiceError
from mxfleet.mxd.probe_report import Report

PLACE: Final = Path("/var/tmp/mxfleet-probe.pcap")  # noqa: S108 - made anew with O_EXCL, by its own name
PACKETS: Final = 50_000  # with all that the port carries meanwhile: 25 MB at most
OCTETS: Final = 512  # of each packet
READY: Final = 5.0  # seconds until it listens


@contextlib.contextmanager
def capture(port: int, report: Report) -> Iterator[None]:
    """Write down what the context's probe sends and gets; its ports stand in the report afterwards."""
    with tempfile.TemporaryDirectory(prefix="mxfleet-probe-") as directory:
        everything = Path(directory) / "all.pcap"
        command = _tcpdump(
            "-i",
            "any",
            "--immediate-mode",
            "-U",
            "-s",
            str(OCTETS),
            "-c",
            str(PACKETS),
            "-w",
            str(everything),
        )
        with _started([*command, "tcp", "port", str(port)]) as running:
            yield
            time.sleep(0.3)  # the last packets
            running.terminate()
            running.wait(READY)
        _keep(everything, report)


def own_ports(report: Report) -> list[int]:
    """The ports from which the probe connected."""
    found = (re.search(r":([0-9]+)$", tried.source) for tried in report.tried)
    return sorted({int(match[1]) for match in found if match and match[1] != "0"})


def _keep(everything: Path, report: Report) -> None:
    ports = own_ports(report)
    if not ports:
        return
    PLACE.unlink(missing_ok=True)
    new = everything.with_name("own.pcap")
    words = " or ".join(f"tcp port {port}" for port in ports)
    done = subprocess.run(
        [*_tcpdump("-r", str(everything), "-w", str(new)), words], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ServiceError(f"tcpdump: {done.stderr.strip()[-200:]}")
    with os.fdopen(os.open(PLACE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(new.read_bytes())
    report.capture = str(PLACE)


def _tcpdump(*words: str) -> list[str]:
    return ["tcpdump", "-n", "-Z", "root", *words]


@contextlib.contextmanager
def _started(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """tcpdump, listening; ended with the context whatever happens."""
    try:
        running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    except FileNotFoundError as error:
        raise ServiceError("tcpdump is not installed", hint="apt install tcpdump") from error
    try:
        _await_listening(running)
        yield running
    finally:
        if running.poll() is None:
            running.kill()
        running.communicate()


def _await_listening(running: "subprocess.Popen[str]") -> None:
    """Return when tcpdump says that it listens; raises ServiceError where it ends instead."""
    said = running.stderr.readline() if running.stderr else ""
    while said and "listening on" not in said:
        said = running.stderr.readline() if running.stderr else ""
    if not said:
        raise ServiceError("tcpdump did not start", hint="it needs root: sudo mxd probe …")
