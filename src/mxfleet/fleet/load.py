"""Find and load an inventory: `--fleet FILE`, MXFLEET_FLEET, or the only one that has state."""

import importlib.util
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from mxfleet.errors import FleetError, MxfleetError
from mxfleet.fleet.model import Fleet


def load(option: Path | str | None, environment: Mapping[str, str], root: Path) -> Fleet:
    """The fleet that the command is about; raises FleetError where that is not certain."""
    return load_file(choose(option, environment, root))


def choose(option: Path | str | None, environment: Mapping[str, str], root: Path) -> Path:
    """The inventory's path: never silently the lab, never silently production."""
    if option:
        return Path(option)
    if named := environment.get("MXFLEET_FLEET"):
        return Path(named)
    inventories = sorted((root / "inventories").glob("*.py"))
    with_state = [path for path in inventories if (root / "state" / path.stem / "ledger.jsonl").exists()]
    if len(with_state) == 1:
        return with_state[0]
    found = ", ".join(str(path.relative_to(root)) for path in inventories) or "none"
    reason = "none of them has state" if not with_state else "several have state"
    raise FleetError(f"which fleet? the inventories are {found}; {reason}", hint="say --fleet FILE")


def load_file(path: Path) -> Fleet:
    """Run one inventory file and return its FLEET; raises FleetError with the place of the mistake."""
    if not path.is_file():
        raise FleetError(f"no inventory {path}", hint="say --fleet FILE, e.g. --fleet inventories/lab.py")
    fleet = getattr(_run(path), "FLEET", None)
    if not isinstance(fleet, Fleet):
        raise FleetError(f"{path} has no FLEET = Fleet(...)", hint="see inventories/example.py")
    return fleet


def _run(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"inventory_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise FleetError(f"{path} is not a Python file", hint="see inventories/example.py")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except MxfleetError as error:
        raise FleetError(f"{path}: {error.message}", hint=error.hint) from error
    except Exception as error:
        line = _line_in(path, error)
        raise FleetError(f"{path}{line}: {_sentence(error)}", hint="see inventories/example.py") from error
    return module


def _line_in(path: Path, error: Exception) -> str:
    if isinstance(error, SyntaxError):
        return f":{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if Path(frame.filename).resolve() == path.resolve()]
    return f":{lines[-1]}" if lines else ""


def _sentence(error: Exception) -> str:
    if isinstance(error, TypeError):  # "Node.__init__() got an unexpected keyword argument 'adress4'"
        return str(error).replace(".__init__()", "(...)")
    if isinstance(error, SyntaxError):
        return f"not Python: {error.msg}"
    return str(error) or type(error).__name__
