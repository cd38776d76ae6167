"""How ssh is told to reach the guests; read back by ssh itself."""

import shutil
import subprocess
from pathlib import Path

import pytest

from mxfleet.lab import access
from mxfleet.lab.plan import Plan


def test_every_name_and_address_of_a_guest_has_its_key(plan: Plan) -> None:
    _, public = access.new_key("mx1")
    text = access.known_hosts([(plan.guests[0], public)])
    names, kind, _ = text.split()
    assert names == "mx1,mx1.corp.test,10.77.0.11,fd77:77::11"
    assert kind == "ssh-ed25519"


@pytest.mark.skipif(not shutil.which("ssh"), reason="needs ssh")
@pytest.mark.parametrize("name", ["mx2", "mx2.corp.test", "10.77.0.12", "fd77:77::12"])
def test_ssh_itself_reads_one_address_one_key_and_a_shared_connection(
    name: str, plan: Plan, tmp_path: Path
) -> None:
    path = tmp_path / "ssh_config"
    path.write_text(access.configuration(plan.guests, tmp_path))
    told = subprocess.run(["ssh", "-G", "-F", path, name], capture_output=True, text=True, check=True).stdout
    settings = dict(line.split(" ", 1) for line in told.splitlines())
    assert settings["hostname"] == "10.77.0.12"
    assert settings["user"] == "ops"
    assert settings["identityfile"] == str(tmp_path / "id_ed25519")
    assert settings["stricthostkeychecking"] == "true"
    assert settings["controlmaster"] == "auto"
    assert settings["controlpersist"] == "300"
    assert settings["userknownhostsfile"] == str(tmp_path / "known_hosts")


def test_a_private_file_is_never_readable_by_others(tmp_path: Path) -> None:
    path = tmp_path / "key"
    access.write_private(path, "secret")
    assert path.stat().st_mode & 0o077 == 0
    access.write_private(path, "other")
    assert path.read_text() == "other"
    assert list(tmp_path.iterdir()) == [path]
