"""Alias files, `name: target, target`: the form that administrators have kept their aliases in for decades."""

from pathlib import Path

from mxfleet.errors import FleetError


def alias_file(path: str | Path) -> dict[str, tuple[str, ...]]:
    """What the file says, for `Domain(aliases=alias_file(Path(__file__).with_name("aliases")))`.

    Raises FleetError with file and line; whether names and targets are good is judged with the fleet.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FleetError(f"alias file {path}: cannot be read: {error}") from error
    return read_aliases(text, str(path))


def read_aliases(text: str, name: str) -> dict[str, tuple[str, ...]]:
    """The aliases in a file's text: one a line, `#` begins a comment, an indented line goes on with the one before.

    `name` is the file's, for errors; raises FleetError. A target that is a program or a file (aliases(5)) is refused:
    mail goes to addresses only.
    """
    found: dict[str, tuple[str, ...]] = {}
    for place, line in _lines(text, name):
        alias, colon, targets = line.partition(":")
        alias = alias.strip()
        if not colon or not alias:
            raise FleetError(f"{place}: not `name: target, target`: {line!r}")
        if alias in found:
            raise FleetError(f"{place}: the alias {alias} stands there twice")
        found[alias] = tuple(target.strip() for target in targets.split(",") if target.strip())
        if not found[alias]:
            raise FleetError(f"{place}: the alias {alias} has no target")
        for target in found[alias]:
            if target[0] in '|/:"':
                raise FleetError(
                    f"{place}: alias {alias}: {target} is no address",
                    hint="let a mailbox server filter or pipe mail; aliases lead to addresses",
                )
    return found


def _lines(text: str, name: str) -> list[tuple[str, str]]:
    lines: list[tuple[str, str]] = []
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.partition("#")[0].rstrip()
        if not line.strip():
            continue
        if line[0].isspace() and lines:
            place, before = lines[-1]
            lines[-1] = place, f"{before} {line.strip()}"
        else:
            lines.append((f"{name}:{number}", line.strip()))
    return lines
