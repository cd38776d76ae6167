"""Layers point one way: the table of docs/decisions/0001 as a test."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "mxfleet"

OWN = {  # which of our own layers each layer may import
    "errors": set(),
    "mail": {"errors"},
    "fleet": {"errors", "mail"},
    "render": {"errors", "fleet", "mail"},
    "dns": {"errors", "fleet", "mail", "keys"},
    "keys": {"errors", "fleet", "mail"},
    "mxd": {"errors", "mail"},
    "lab": {"errors", "fleet", "mail", "dns"},
    "doctor": {"errors", "fleet", "mail", "dns"},
    "cli": {"errors", "mail", "fleet", "render", "dns", "keys", "mxd", "lab", "doctor"},
    "roles": {"errors", "fleet", "render", "keys"},
}
FOREIGN = {  # what each layer must never import
    "mail": {
        "asyncio",
        "socket",
        "pathlib",
        "os",
        "time",
        "threading",
        "subprocess",
        "pyinfra",
        "jinja2",
        "httpx",
    },
    "fleet": {"pyinfra", "jinja2", "socket", "asyncio", "subprocess", "httpx", "dns"},
    "render": {"pyinfra", "socket", "asyncio", "subprocess", "httpx"},
    "dns": {"pyinfra", "jinja2"},
    "keys": {"pyinfra", "jinja2"},
    "mxd": {"pyinfra", "jinja2", "cloudflare", "typer", "rich", "pyrage", "acme"},
    "lab": {"pyinfra"},
    "doctor": {"pyinfra"},
    "cli": {"pyinfra", "roles"},
    "roles": {"asyncio"},
}
ONLY_IN = {"cloudflare": "dns/providers/cloudflare.py"}
ROLES_MAY_READ = {"mxfleet.keys.ledger", "mxfleet.keys.vault", "mxfleet.keys.secrets"}


def python_files() -> list[Path]:
    """All source files, by path."""
    return sorted([*SOURCE.rglob("*.py"), *(ROOT / "roles").glob("*.py"), ROOT / "deploy.py"])


def layer_of(path: Path) -> str:
    if path.is_relative_to(SOURCE):
        first = path.relative_to(SOURCE).parts[0]
        return first.removesuffix(".py")
    return "roles"


def imports_of(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


@pytest.mark.parametrize(
    "path", [p for p in python_files() if p.exists()], ids=lambda p: str(p.relative_to(ROOT))
)
def test_a_module_imports_only_what_its_layer_may(path: Path) -> None:
    layer = layer_of(path)
    if layer == "__init__":
        return
    found = imports_of(path)
    own = {name.split(".")[1] for name in found if name.startswith("mxfleet.")} - {"__version__"}
    assert own <= OWN[layer] | {layer}, f"{layer} must not import {own - OWN[layer] - {layer}}"
    foreign = {name.split(".")[0] for name in found}
    assert not foreign & FOREIGN.get(layer, set())
    for package, home in ONLY_IN.items():
        assert package not in foreign or path == SOURCE / home
    if layer == "roles":
        keys = {name for name in found if name.startswith("mxfleet.keys.") and name.count(".") == 2}
        assert keys <= ROLES_MAY_READ


def test_no_module_is_longer_than_the_wall() -> None:
    long = {
        str(p.relative_to(ROOT)): n
        for p in python_files()
        if p.exists() and (n := len(p.read_text().splitlines())) > 400
    }
    assert long == {}


def test_source_has_no_assert_no_bare_except_and_no_print_outside_the_cli() -> None:
    wrong = [
        f"{path}: {ast.unparse(node)[:80]}"
        for path in python_files()
        if path.exists()
        for node in ast.walk(ast.parse(path.read_text()))
        if _forbidden(node, "cli" in path.parts)
    ]
    assert wrong == []


def _forbidden(node: ast.AST, in_the_cli: bool) -> bool:
    if isinstance(node, ast.ExceptHandler):
        return node.type is None
    called = node.func if isinstance(node, ast.Call) else None
    return isinstance(node, ast.Assert) or (
        isinstance(called, ast.Name) and called.id == "print" and not in_the_cli
    )
