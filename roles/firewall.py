"""firewall: one nftables rule set, default drop, kept only when a new ssh session has come through it."""

from pyinfra import host
from pyinfra.api import operation

from mxfleet.render.firewall import RULES
from roles import Commands, facts, operations, shell, target
from roles.confirm import DIRECTORY, Change, confirmed
from roles.rolling import Turn

PREVIOUS = f"{DIRECTORY}/rules.previous"


def configure(turn: Turn) -> None:
    """The unit's drop-in; the rules themselves are not on disk before they are confirmed."""
    operations.files_are_rendered(name=f"{turn}, firewall: files are as rendered", turn=turn, role="firewall")


def activate(turn: Turn) -> None:
    """The rules in the kernel, and on disk for the next boot."""
    rules(name=f"{turn}, firewall: the rendered rules are in force", turn=turn)


@operation()
def rules(turn: Turn) -> Commands:
    """Load, prove by a new session, then keep; a node that would be cut off goes back by itself."""
    if not turn.mine or not facts.differing("rules"):
        return
    files = list(target.here().of("rules"))
    yield from operations.ready(files)
    yield from confirmed(CHANGE, host.data.fleet, host.data.node)
    facts.learn_files(files)
    facts.learn_units(unit for unit in target.here().units if unit.role == "rules")


def _keep() -> str:
    target_file = shell.STAGE + RULES
    return f"""cp --preserve=mode,ownership -- {target_file} {RULES}.mxfleet-new; sync -- {RULES}.mxfleet-new; mv -fT {RULES}.mxfleet-new {RULES}
systemctl enable --quiet nftables.service; systemctl reload-or-restart nftables.service"""


CHANGE = Change(
    word="rules",
    phrase="the new firewall rules",
    prepare=f"{{ echo 'flush ruleset'; nft list ruleset; }} >{PREVIOUS}",
    load=f"nft -f {shell.STAGE}{RULES}",
    undo=f"nft -f {PREVIOUS}",
    keep=_keep(),
)
