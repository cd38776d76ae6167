"""The shell that operations send, run for real in a directory of its own (as root, for owners)."""

import base64
import io
import os
import shutil
import subprocess
import tarfile
import time
from dataclasses import replace
from pathlib import Path

import pytest

from mxfleet.fleet import Fleet
from mxfleet.fleet.signing import Signing
from mxfleet.render import Directory, File, render
from mxfleet.render.file import Unit
from mxfleet.render.keyed import BESIDE, without_keys
from roles import shell
from tests.unit.render.samples import fleet_of, inputs_of, signing_of


@pytest.fixture(autouse=True)
def stage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(shell, "STAGE", f"{tmp_path}/run/stage")
    (tmp_path / "run").mkdir()
    return tmp_path / "run" / "stage"


def run(script: str, tmp_path: Path, given: str = "") -> subprocess.CompletedProcess[str]:
    script = script.replace("/run/mxfleet", f"{tmp_path}/run")
    return subprocess.run(["sh", "-c", script], input=given, capture_output=True, text=True, check=False)


def put(files: dict[File, bytes], tmp_path: Path) -> subprocess.CompletedProcess[str]:
    staged = run(shell.stage(files), tmp_path, shell.archive(files))
    return run(shell.place(files), tmp_path) if staged.returncode == 0 else staged


def test_a_file_arrives_with_its_content_and_mode_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    file = File(role="r", path=f"{tmp_path}/etc/new/a.conf", text="", mode=0o640)
    assert put({file: b"hello\n\x00"}, tmp_path).returncode == 0
    assert Path(file.path).read_bytes() == b"hello\n\x00"
    assert Path(file.path).stat().st_mode & 0o7777 == 0o640
    assert [path.name for path in Path(file.path).parent.iterdir()] == ["a.conf"]


def test_a_placed_file_bears_the_time_of_its_placing(tmp_path: Path) -> None:
    """By it systemd knows that a unit's file is newer than what it has read."""
    begun = time.time()
    file = File(role="r", path=f"{tmp_path}/etc/a.service", text="")
    assert put({file: b"x"}, tmp_path).returncode == 0
    assert Path(file.path).stat().st_mtime > begun - 2


def test_only_root_can_look_at_what_is_staged(tmp_path: Path, stage: Path) -> None:
    file = File(role="r", path=f"{tmp_path}/etc/key.pem", text="", mode=0o644)
    assert run(shell.stage([file]), tmp_path, shell.archive({file: b"secret"})).returncode == 0
    assert stage.stat().st_mode & 0o7777 == 0o700
    assert stage.parent.stat().st_mode & 0o7777 == 0o700


def test_a_file_that_its_reader_refuses_is_not_put_in_place_and_the_reader_is_quoted(tmp_path: Path) -> None:
    target = tmp_path / "etc" / "a.sh"
    target.parent.mkdir()
    target.write_text("as it was\n")
    file = File(role="r", path=str(target), text="", check="sh -n {}")
    result = put({file: b"if then\n"}, tmp_path)
    assert result.returncode == 1
    assert "unexpected" in result.stderr
    assert f"mxfleet: {target} is refused by its reader (sh); it was not put in place" in result.stderr
    assert target.read_text() == "as it was\n"


def test_a_late_check_runs_when_what_comes_before_it_is_in_place(tmp_path: Path) -> None:
    key = File(role="r", path=f"{tmp_path}/etc/key", text="")
    settings = File(
        role="r",
        path=f"{tmp_path}/etc/settings",
        text="",
        check=f"grep -q {key.path} {{}} && test -e {key.path} && true",
        late=True,
    )
    assert put({key: b"k", settings: f"key={key.path}".encode()}, tmp_path).returncode == 0
    assert Path(settings.path).exists()


def test_a_late_check_that_fails_keeps_the_old_settings(tmp_path: Path) -> None:
    target = tmp_path / "etc" / "settings"
    target.parent.mkdir()
    target.write_text("as it was\n")
    file = File(role="r", path=str(target), text="", check="false {}", late=True)
    assert put({file: b"new"}, tmp_path).returncode == 1
    assert target.read_text() == "as it was\n"


def test_the_stream_carries_owners_by_name_and_no_name_of_the_operator() -> None:
    file = File(role="r", path="/etc/mxfleet/key", text="", group="mxd", mode=0o640)
    content = base64.b64decode(shell.archive({file: b"x"}))
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        (entry,) = tar.getmembers()
        assert (entry.name, entry.uname, entry.gname, entry.mode) == ("etc/mxfleet/key", "root", "mxd", 0o640)


def test_no_secret_stands_in_any_command() -> None:
    file = File(role="r", path="/etc/mxfleet/key", text="", mode=0o640, check="true {}")
    assert "hunter2" not in shell.stage([file]) + shell.place([file])


@pytest.mark.skipif(os.geteuid() != 0, reason="owners need root")
def test_directories_are_made_with_owner_and_mode(tmp_path: Path) -> None:
    wanted = [Directory(f"{tmp_path}/etc/mxfleet", "root", "root", 0o750)]
    assert run(shell.make(wanted), tmp_path).returncode == 0
    assert (tmp_path / "etc" / "mxfleet").stat().st_mode & 0o7777 == 0o750


def test_a_release_is_unpacked_compiled_and_made_current_in_one_step(tmp_path: Path) -> None:
    source = tmp_path / "source" / "venv" / "lib"
    source.mkdir(parents=True)
    (source / "a.py").write_text("A = 1\n")
    incoming = shutil.make_archive(str(tmp_path / "incoming"), "gztar", tmp_path / "source")
    releases, current = tmp_path / "releases", tmp_path / "current"
    for version in ("0.9", "1.0"):
        shutil.copy(incoming, tmp_path / version)
        assert run(shell.unpack(str(releases), version, str(tmp_path / version)), tmp_path).returncode == 0
    assert list((releases / "1.0" / "venv" / "lib" / "__pycache__").glob("a.*.pyc"))
    (releases / "0.1").mkdir()
    done = run(shell.make_current(str(releases), str(current), "1.0", "0.9"), tmp_path)
    assert done.returncode == 0, done.stderr
    assert current.readlink() == releases / "1.0"
    assert sorted(path.name for path in releases.iterdir()) == ["0.9", "1.0"]


SYSTEMCTL = """#!/bin/sh
echo "$*" >>{log}
"""


@pytest.mark.parametrize(
    ("noted", "verb"), [("as it is", "reload-or-restart"), ("another", "restart"), ("", "restart")]
)
def test_a_unit_is_reloaded_only_while_it_was_started_with_what_no_reload_takes_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, noted: str, verb: str
) -> None:
    """E.g. nginx's sandbox: systemd applies it to processes that it starts."""
    sandbox, log, note = tmp_path / "40.conf", tmp_path / "log", tmp_path / "run" / "loaded" / "nginx.service"
    note.parent.mkdir()
    if noted:
        sandbox.write_text(noted)
        loaded = (Path(__file__).parents[2] / "templates/usr/local/lib/mxfleet/loaded.j2").read_text()
        run(f"set -- {note.name}.fixed {sandbox}\n" + loaded, tmp_path)
    sandbox.write_text("as it is")
    (tmp_path / "systemctl").write_text(SYSTEMCTL.format(log=log))
    (tmp_path / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    unit = Unit(role="r", name="nginx.service", reload=True, fixed=(str(sandbox),))
    assert run(shell.run(unit), tmp_path).returncode == 0
    assert log.read_text().splitlines() == ["enable --quiet nginx.service", f"{verb} nginx.service"]


@pytest.mark.parametrize("inventory", ["lab", "single", "example"])
def test_the_node_leaves_out_of_a_file_what_belongs_to_keys_just_as_we_do(
    tmp_path: Path, inventory: str
) -> None:
    fleet, signing = fleet_of(inventory), signing_of(fleet_of(inventory))
    files = beside_keys(fleet, signing)
    bare = beside_keys(fleet, replace(signing, dkim=()))
    assert len(files) == 2
    for path, text in files.items():
        (tmp_path / "file").write_text(text)
        left = run(BESIDE[path].replace(path, f"{tmp_path}/file"), tmp_path).stdout
        assert left == without_keys(path, text) == without_keys(path, bare[path])
        assert "/dkim/" in text
        assert "/dkim/" not in left


def beside_keys(fleet: Fleet, signing: Signing) -> dict[str, str]:
    """The texts of the files of which a part belongs to keys."""
    rendered = render(fleet, fleet.nodes[0], signing, inputs_of(fleet))
    return {file.path: file.text for file in rendered if file.path in BESIDE}
