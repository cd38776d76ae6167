"""Sockets from systemd, and what systemd is told."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mxfleet.errors import ServiceError
from mxfleet.mxd.listener import inherited, opened, plain_address
from mxfleet.mxd.notify import notify

START = 'export LISTEN_PID=$$; exec "$@"'


def test_sockets_for_another_process_are_not_taken() -> None:
    assert inherited({"LISTEN_PID": "1", "LISTEN_FDS": "2"}, 2) == {}
    assert inherited({}, 2) == {}


def test_a_socket_without_a_known_name_is_refused() -> None:
    with pytest.raises(ServiceError, match="socket 0 is called 'http'"):
        inherited({"LISTEN_PID": "7", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "http"}, 7)


def test_a_port_in_use_is_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            ServiceError, match=f"smtp: cannot listen on 127.0.0.1 port {port}: Address already in use"
        ):
            opened({"smtp": [("127.0.0.1", port)]})


@pytest.mark.parametrize(
    ("host", "plain"),
    [
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::1", "::1"),
    ],
)
def test_addresses_are_shown_as_what_they_are(host: str, plain: str) -> None:
    assert plain_address(host) == plain


def test_systemd_is_told_where_it_listens_and_nobody_else(tmp_path: Path) -> None:
    notify({}, "READY=1")
    notify({"NOTIFY_SOCKET": str(tmp_path / "nobody")}, "READY=1")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        notify({"NOTIFY_SOCKET": str(tmp_path / "notify")}, "READY=1")
        assert systemd.recv(100) == b"READY=1"


def test_started_by_systemd_it_serves_on_its_sockets_both_families_and_says_when(
    service: Any, tmp_path: Path
) -> None:
    """Dual-stack sockets, as the units open them; the client's and the certificate's address is plain IPv4."""
    service.settings["certificate"][1]["addresses"] = ["127.0.0.1"]
    service.write()
    names = ("smtp", "submissions", "health")
    listeners = [socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) for _ in names]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(20)
        start(service, listeners, names, tmp_path)
        assert systemd.recv(100) == b"READY=1"
        ports = [listener.getsockname()[1] for listener in listeners]
        for host in ("127.0.0.1", "::1"):
            with socket.create_connection((host, ports[0])) as client:
                assert client.recv(100).startswith(b"220 mx.corp.test ")
        assert b"submit.corp.test" in certificate(ports[1])
        service.terminate()
        assert systemd.recv(100) == b"STOPPING=1"
    for listener in listeners:
        listener.close()


def start(service: Any, listeners: list[socket.socket], names: tuple[str, ...], directory: Path) -> None:
    def hand_over() -> None:
        copies = [os.dup(listener.fileno()) for listener in listeners]
        for number, copy in enumerate(copies):
            os.dup2(copy, 3 + number, inheritable=True)

    environment = {
        **os.environ,
        "LISTEN_FDS": str(len(names)),
        "LISTEN_FDNAMES": ":".join(names),
        "NOTIFY_SOCKET": str(directory / "notify"),
    }
    command = ["sh", "-c", START, "sh", sys.executable, "-m", "mxfleet.mxd"]
    with (directory / "log").open("ab") as log:
        service.process = subprocess.Popen(
            [*command, "--settings", str(service.path), "serve"],
            env=environment,
            preexec_fn=hand_over,
            close_fds=False,
            stderr=log,
            start_new_session=True,
        )


def certificate(port: int) -> bytes:
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port)) as plain, context.wrap_socket(plain) as connection:
        return connection.getpeercert(binary_form=True) or b""
