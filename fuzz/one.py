"""One target in a process of its own, as libFuzzer wants it: `python -m fuzz.one TARGET [libFuzzer's options]`."""

import sys

import atheris

with atheris.instrument_imports(include=["mxfleet", "fuzz"]):
    from fuzz.targets import TARGETS


def main() -> None:
    """Does not return."""
    target = TARGETS[sys.argv[1]]
    atheris.Setup([sys.argv[0], *sys.argv[2:]], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
