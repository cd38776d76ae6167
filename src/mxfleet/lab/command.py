"""Run the host's own programs, with their last words in the error where one fails."""

import subprocess
from collections.abc import Sequence

from mxfleet.errors import LabError


def run(arguments: Sequence[str], standard_input: str = "", timeout: float = 60) -> str:
    """Run to the end and return standard output; raises LabError with what the program said."""
    try:
        done = subprocess.run(
            arguments, input=standard_input, capture_output=True, text=True, timeout=timeout, check=False
        )
    except FileNotFoundError as error:
        raise LabError(f"{arguments[0]} is not installed", hint="mxfleet lab up --yes installs it") from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{' '.join(arguments)}: no end after {timeout:.0f} s") from error
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise LabError(f"{' '.join(arguments)} failed ({done.returncode}): {'; '.join(said)}")
    return done.stdout


def attempt(arguments: Sequence[str], standard_input: str = "", timeout: float = 60) -> bool:
    """Run to the end; whether it went well. For steps that may find their work done already."""
    try:
        run(arguments, standard_input, timeout)
    except LabError:
        return False
    return True
