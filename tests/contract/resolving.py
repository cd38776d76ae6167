"""A real unbound on loopback that asks a real Knot; both end with the test."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dns.exception
import dns.resolver

from tests.contract import nameservers

CONFIGURATION = """
server:
    directory: ""
    chroot: ""
    username: ""
    pidfile: ""
    use-syslog: no
    interface: 127.0.0.1
    port: {port}
    do-ip6: no
    num-threads: 1
    module-config: "iterator"
    do-not-query-localhost: no
    edns-buffer-size: 1232
    cache-min-ttl: 0
    local-zone: "test." nodefault
    local-zone: "127.in-addr.arpa." nodefault
remote-control:
    control-enable: no
"""


@contextmanager
def resolver(directory: Path, zones: dict[str, str]) -> Iterator[str]:
    """`address:port` of an unbound that knows these zones (name → zone file)."""
    port = nameservers.free_port()
    with nameservers.running("knot", directory / "knot", zones, addresses=("127.0.0.1",)) as knot:
        text = CONFIGURATION.format(port=port)
        for zone in zones:
            text += f'stub-zone:\n    name: "{zone}."\n    stub-addr: 127.0.0.1@{knot.port}\n'
        (directory / "unbound.conf").write_text(text)
        log = directory / "unbound.log"
        command = [*nameservers.program("unbound"), "-d", "-p", "-c", str(directory / "unbound.conf")]
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            _wait(port, next(iter(zones)), process, log)
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(10)


def _wait(port: int, zone: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    asking = dns.resolver.Resolver(configure=False)
    asking.nameservers, asking.port, asking.lifetime = ["127.0.0.1"], port, 1.0
    end = time.monotonic() + 20
    while time.monotonic() < end and process.poll() is None:
        try:
            asking.resolve(zone, "SOA")
            return
        except dns.exception.DNSException:
            time.sleep(0.05)
    raise RuntimeError(f"unbound does not answer:\n{log.read_text()}")
