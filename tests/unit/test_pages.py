"""The pages of docs name files that exist, and the life of a message leaves out no step's file."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
PLACES = (ROOT, ROOT / "src" / "mxfleet", ROOT / "docs")
NAMED = re.compile(r"`([a-z_]+(?:/[A-Za-z0-9_.*{},-]+)*/[A-Za-z0-9_.*-]*)`")
NOT_KEPT = {"state/", "backup/"}  # an operator's own, in no clone
SUFFIXES = (".py", ".md", ".j2", ".txt", ".toml", "/")


def files_named(page: Path) -> set[str]:
    """The paths that a page has in back-ticks; a node's own paths begin with a slash and are not among them."""
    found = set(NAMED.findall(page.read_text(encoding="utf-8")))
    return {path for path in found if path.endswith(SUFFIXES)} - NOT_KEPT


def exists(path: str) -> bool:
    return any(any(True for _ in place.glob(path.rstrip("/"))) for place in PLACES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_files_that_a_page_names_exist(page: Path) -> None:
    assert [path for path in sorted(files_named(page)) if not exists(path)] == []


def test_the_life_of_a_message_names_each_step_s_file() -> None:
    """From the socket to the 250: what a message passes through in mxd."""
    steps = (
        "listener", "worker", "carrier", "session", "tls", "login", "policy", "transaction", "examination",
        "evidence", "decision", "fields", "signing", "admission", "stamp", "spool/committer", "spool/inserts",
    )  # fmt: skip
    named = files_named(ROOT / "docs" / "life-of-a-message.md")
    assert [step for step in steps if f"mxd/{step}.py" not in named] == []
    assert "mail/smtp/server.py" in named
    assert "mxd/spool/" in named
