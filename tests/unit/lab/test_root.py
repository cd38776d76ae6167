"""Files put into a guest's root: content, rights, and no way out of it."""

import os
from pathlib import Path

import pytest

from mxfleet.errors import LabError
from mxfleet.lab import root
from mxfleet.lab.root import GuestDirectory, GuestFile, GuestLink

ME = f"{os.getuid()}:{os.getgid()}"


@pytest.fixture
def guest(tmp_path: Path) -> Path:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text(
        f"root:x:0:0::/:/bin/sh\nme:x:{os.getuid()}:{os.getgid()}::/:/bin/sh\n"
    )
    (tmp_path / "etc/group").write_text(f"root:x:0:\nus:x:{os.getgid()}:\n")
    return tmp_path


def test_files_have_their_content_and_rights(guest: Path) -> None:
    root.fill(
        guest, [GuestFile("/etc/a/b.conf", "text\n", 0o640, "me:us"), GuestFile("/c", b"\x00", 0o755, ME)]
    )
    assert (guest / "etc/a/b.conf").read_text() == "text\n"
    assert (guest / "etc/a/b.conf").stat().st_mode & 0o777 == 0o640
    assert (guest / "c").read_bytes() == b"\x00"


def test_what_was_there_is_replaced_not_followed(
    guest: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside") / "file"
    outside.write_text("untouched")
    (guest / "etc/link").symlink_to(outside)
    root.fill(guest, [GuestFile("/etc/link", "new", 0o644, ME)])
    assert outside.read_text() == "untouched"
    assert (guest / "etc/link").read_text() == "new"


def test_a_parent_that_leads_out_of_the_guest_is_refused(
    guest: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (guest / "etc/out").symlink_to(tmp_path_factory.mktemp("outside"))
    with pytest.raises(LabError, match="leads out of the guest"):
        root.fill(guest, [GuestFile("/etc/out/file", "", 0o644, ME)])


def test_an_owner_whom_the_guest_does_not_know_is_named(guest: Path) -> None:
    with pytest.raises(LabError, match="belongs to postfix, whom the guest does not know"):
        root.fill(guest, [GuestFile("/x", "", 0o644, "postfix:us")])


def test_links_and_directories(guest: Path) -> None:
    root.fill(guest, [GuestLink("/etc/unit", "/dev/null"), GuestDirectory("/var/x", 0o700, ME)])
    assert (guest / "etc/unit").readlink() == Path("/dev/null")
    assert (guest / "var/x").stat().st_mode & 0o777 == 0o700


def test_an_account_is_added_once(guest: Path) -> None:
    for _ in range(2):
        root.append_line(guest, "/etc/passwd", "ops:x:1000:1000::/home/ops:/bin/bash")
    assert (guest / "etc/passwd").read_text().count("ops:x:1000") == 1
