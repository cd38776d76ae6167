"""The base images: recipes, and the mirror that they are built from."""

from dataclasses import replace
from pathlib import Path

import pytest

from mxfleet.errors import LabError
from mxfleet.lab import image, mirror
from mxfleet.lab.recipe import RECIPES, bootstrap

INDEXES = """\
Packages|http://mirror.test/debian|bookworm|main
Packages|http://mirror.test/debian|bookworm|contrib
Translations|http://other.test/debian|bookworm|main
Packages|http://mirror.test/debian|bookworm-updates|main
Packages|http://mirror.test/debian-security|bookworm-security|main
Packages|https://vendor.test/apt|stable|main
"""


def test_the_guests_come_from_this_machine_s_own_mirrors() -> None:
    suites = [line.split("] ")[1] for line in mirror.sources(INDEXES)]
    assert suites == [
        "http://mirror.test/debian trixie main",
        "http://mirror.test/debian trixie-updates main",
        "http://mirror.test/debian-security trixie-security main",
    ]
    assert all(mirror.KEYRING in line for line in mirror.sources(INDEXES))


def test_a_machine_without_a_security_archive_gets_none() -> None:
    assert len(mirror.sources(INDEXES.splitlines()[0])) == 2


@pytest.mark.parametrize("indexes", ["", "Packages|https://vendor.test/apt|stable|main\n", "nonsense"])
def test_without_a_debian_mirror_none_is_guessed(indexes: str) -> None:
    with pytest.raises(LabError, match="names no Debian mirror"):
        mirror.sources(indexes)


def test_the_machine_s_proxy_is_used_and_its_empty_settings_are_not() -> None:
    dump = 'Acquire "";\nAcquire::http "";\nAcquire::http::Proxy "http://proxy.test:3128";\nAcquire::Languages "de";\n'
    assert mirror.settings(dump) == ['Acquire::http::Proxy "http://proxy.test:3128";']


def test_a_changed_recipe_is_another_image() -> None:
    recipe = RECIPES["node"]
    changed = [replace(recipe, packages=("nano", *recipe.packages)), replace(recipe, suite="forky")]
    assert len({one.directory for one in (recipe, *changed)}) == 3


def test_a_node_s_image_holds_no_mail_server_of_the_internet() -> None:
    assert not {"postfix", "dovecot-core", "knot", "bind9"} & set(RECIPES["node"].packages)
    assert {"postfix", "dovecot-core", "knot", "bind9", "rspamd"} <= set(RECIPES["internet"].packages)


def test_the_bootstrap_starts_no_service_and_leaves_no_host_key() -> None:
    words = bootstrap(RECIPES["node"], "/target", ["deb http://mirror.test/debian trixie main"], [])
    assert words[-3:] == ["trixie", "/target", "deb http://mirror.test/debian trixie main"]
    hooks = " ".join(words)
    assert "policy-rc.d" in hooks
    assert "ssh_host_*" in hooks
    assert "keepalived.service" in hooks


def test_images_lie_in_the_user_s_cache() -> None:
    assert image.cache_directory({"XDG_CACHE_HOME": "/c"}) == Path("/c/mxfleet/images")
    assert image.cache_directory({"HOME": "/home/u"}) == Path("/home/u/.cache/mxfleet/images")


def test_an_image_in_the_cache_is_not_built_again_and_leftovers_are_removed(tmp_path: Path) -> None:
    said: list[str] = []
    for recipe in RECIPES.values():
        (tmp_path / recipe.directory).mkdir()
    (tmp_path / "node-trixie-000000000000").mkdir()
    (tmp_path / ".node-interrupted" / "root").mkdir(parents=True)
    (tmp_path / "somebody-else-s").mkdir()
    found = image.ready(["internet", "operator", "node", "node"], tmp_path, said.append)
    assert found == {name: tmp_path / recipe.directory for name, recipe in RECIPES.items()}
    assert said == []
    left = {path.name for path in tmp_path.iterdir() if path.is_dir()}
    assert left == {recipe.directory for recipe in RECIPES.values()} | {"somebody-else-s"}


def test_a_build_that_fails_leaves_no_image_and_says_what_apt_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> list[str]:
        return ["sh", "-c", 'mkdir -p "$TMPDIR/root"; echo "E: Unable to locate package x" >&2; exit 1']

    monkeypatch.setattr(image, "bootstrap", failing)
    monkeypatch.setattr(image, "run", lambda *_: INDEXES)
    with pytest.raises(LabError, match="Unable to locate package x"):
        image.ready(["node"], tmp_path, lambda _: None)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]
