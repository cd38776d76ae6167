"""Missing Debian packages: named, asked for, and installed only then."""

import shutil

import pytest

from mxfleet.errors import LabError
from mxfleet.lab import packages


def only_apt(name: str, path: str | None = None) -> str | None:
    return "/usr/bin/apt-get" if name == "apt-get" else None


@pytest.fixture
def nothing_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", only_apt)


def test_a_program_s_package_is_named(nothing_there: None) -> None:
    assert {"mmdebstrap", "systemd-container", "nftables", "iproute2"} <= set(packages.missing())


def test_nothing_is_installed_without_a_yes(nothing_there: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "_install", lambda _: pytest.fail("installed"))
    asked: list[list[str]] = []

    def refuse(wanted: list[str]) -> bool:
        asked.append(wanted)
        return False

    with pytest.raises(LabError) as caught:
        packages.ensure(refuse)
    assert caught.value.hint.startswith("sudo apt-get install")
    assert asked == [packages.missing()]


def test_what_is_still_missing_afterwards_is_said(
    nothing_there: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "_install", lambda _: None)
    with pytest.raises(LabError, match=r"still missing: .*mmdebstrap"):
        packages.ensure(lambda _: True)


def test_where_all_is_there_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "missing", lambda _: [])
    packages.ensure(lambda _: pytest.fail("asked"))
