"""Our own words in pyinfra's output: lines that `mxfleet deploy` picks out, and failures that say what to do."""

from pyinfra import logger
from pyinfra.api import State
from pyinfra.api.command import FunctionCommand
from pyinfra.api.host import Host


def refusal(sentence: str, remedy: str) -> FunctionCommand:
    """A command that fails with our sentence and what to do, and does nothing."""
    return FunctionCommand(_refuse, (f"{sentence} — {remedy}",), {})


def _refuse(state: State, host: Host, sentence: str) -> bool:
    say(host, sentence)
    return False


def say(about: Host, sentence: str) -> None:
    """One line of ours in pyinfra's output, which `mxfleet deploy` picks out."""
    logger.error(f"{about.print_prefix}mxfleet: {about.data.node.name}: {sentence}")
