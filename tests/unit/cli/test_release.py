"""A release is its content: the same for the same code and lock, another for any change."""

import gzip
import io
import tarfile
from pathlib import Path, PurePosixPath

import pytest

from mxfleet.cli.release import pack
from mxfleet.errors import DeployError
from mxfleet.render.release import lock, sources, version

ROOT = Path(__file__).resolve().parents[3]
OWN = {
    PurePosixPath("mxfleet/__init__.py"): b'__version__ = "1.2.3"\n',
    PurePosixPath("mxfleet/mxd/a.py"): b"a",
}


def test_the_version_says_what_was_declared_and_what_is_in_it() -> None:
    name = version(OWN, b"lock")
    declared, _, content = name.partition("+")
    assert declared == "1.2.3"
    assert len(content) == 12
    assert version(dict(reversed(OWN.items())), b"lock") == name


@pytest.mark.parametrize(
    ("own", "locked"),
    [
        ({**OWN, PurePosixPath("mxfleet/mxd/a.py"): b"b"}, b"lock"),
        ({**OWN, PurePosixPath("mxfleet/mxd/b.py"): b""}, b"lock"),
        (OWN, b"another lock"),
    ],
)
def test_a_change_of_code_or_lock_is_another_version(own: dict[PurePosixPath, bytes], locked: bytes) -> None:
    assert version(own, locked) != version(OWN, b"lock")


def test_a_node_gets_the_service_and_nothing_of_the_operator() -> None:
    parts = {path.parts[1] for path in sources(ROOT)}
    assert parts == {"__init__.py", "errors.py", "mail", "mxd"}
    assert b"--hash=sha256:" in lock(ROOT)


def test_the_archive_is_the_same_octets_for_the_same_input() -> None:
    packages = {PurePosixPath("msgspec/core.py"): b"x"}
    assert pack("1+a", OWN, packages) == pack("1+a", dict(reversed(OWN.items())), packages)


def test_the_archive_holds_a_venv_that_runs_where_it_will_lie() -> None:
    content = gzip.decompress(pack("1+a", OWN, {}))
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        assert tar.getmember("venv/bin/python3").linkname == "/usr/bin/python3"
        command = tar.extractfile("venv/bin/mxd")
        assert command is not None
        assert command.readline() == b"#!/opt/mxfleet/releases/1+a/venv/bin/python3\n"
        assert tar.getmember("venv/bin/mxd").mode == 0o755
        assert "venv/lib/python3.13/site-packages/mxfleet/mxd/a.py" in tar.getnames()
        assert {entry.uname for entry in tar.getmembers()} == {"root"}


def test_an_unknown_machine_is_refused_by_name() -> None:
    from mxfleet.cli.release import wheels

    with pytest.raises(DeployError, match="riscv64"):
        wheels(b"", "riscv64")
