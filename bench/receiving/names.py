"""The senders' names: a private Knot with their zones, and a real unbound that asks it; both on loopback."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.receiving.machine import Account, BenchError, free_ports, wait_until
from bench.receiving.senders import Senders, name_of

KNOT = """
server:
    rundir: "{directory}"
    listen: 127.0.0.1@{port}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
database:
    storage: "{directory}/knot"
log:
  - target: stderr
    any: warning
zone:
  - domain: test
    file: "{zone}"
    zonefile-load: whole
  - domain: 77.127.in-addr.arpa
    file: "{reverse}"
    zonefile-load: whole
"""
# Iterator only: the zones are unsigned, and nothing here is to measure validation, which unbound caches anyway.
UNBOUND = """
server:
    directory: ""
    chroot: ""
    username: ""
    pidfile: ""
    use-syslog: no
    logfile: ""
    interface: 127.0.0.1
    port: {port}
    do-ip6: no
    num-threads: 1
    module-config: "iterator"
    do-not-query-localhost: no
    local-zone: "test." nodefault
    local-zone: "127.in-addr.arpa." nodefault
    msg-cache-size: 16m
    rrset-cache-size: 32m
remote-control:
    control-enable: no
stub-zone:
    name: "test."
    stub-addr: 127.0.0.1@{knot}
stub-zone:
    name: "77.127.in-addr.arpa."
    stub-addr: 127.0.0.1@{knot}
"""


@contextmanager
def running(directory: Path, senders: Senders, account: Account) -> Iterator[str]:
    """A resolver's `address:port`; it and the name server have ended when this ends."""
    knot, unbound = free_ports(2)
    configuration = KNOT.format(directory=directory, port=knot, zone=senders.zone, reverse=senders.reverse)
    (directory / "knot.conf").write_text(configuration)
    (directory / "unbound.conf").write_text(UNBOUND.format(port=unbound, knot=knot))
    commands = (
        ["knotd", "-c", str(directory / "knot.conf")],
        ["unbound", "-d", "-p", "-c", str(directory / "unbound.conf")],
    )
    processes: list[subprocess.Popen[bytes]] = []
    with (directory / "names.log").open("wb") as log:
        try:
            for program, *arguments in commands:
                command = account.command([f"/usr/sbin/{program}", *arguments])
                processes.append(subprocess.Popen(command, stdout=log, stderr=log))
            wait_until(lambda: _resolves(unbound, processes, directory), 20, "unbound and Knot answer")
            yield f"127.0.0.1:{unbound}"
        finally:
            for process in processes:
                process.terminate()
                process.wait(10)


def _resolves(port: int, processes: list[subprocess.Popen[bytes]], directory: Path) -> bool:
    import dns.exception
    import dns.resolver

    if any(process.poll() is not None for process in processes):
        raise BenchError(f"a name server ended: {(directory / 'names.log').read_text()[-500:]}")
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.port, resolver.lifetime = ["127.0.0.1"], port, 1.0
    try:
        resolver.resolve(f"s1._domainkey.{name_of(7)}", "TXT")
        resolver.resolve("1.9.77.127.in-addr.arpa", "PTR")
    except dns.exception.DNSException:
        return False
    return True
