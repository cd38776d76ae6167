"""smtp: the release of mxd, its settings, keys and accounts; restarted when it runs something else than is in place."""

import shlex

from pyinfra.api import operation
from pyinfra.api.command import StringCommand

from mxfleet.render.smtp import CURRENT, FIXED, RELEASES, SERVICE
from roles import Commands, facts, operations, shell, target
from roles.rolling import Turn


def install() -> None:
    """The release beside the running one."""
    operations.release_unpacked(name="install: the release is unpacked")


def configure(turn: Turn) -> None:
    """Settings, signing keys, accounts and units; what does not belong there is removed."""
    operations.files_are_rendered(
        name=f"{turn}, smtp: settings, keys and accounts are the fleet's", turn=turn, role="smtp"
    )


def activate(turn: Turn) -> None:
    """The release is current, and the exchange runs it with everything that is in place."""
    exchange(name=f"{turn}, smtp: the exchange runs what is in place", turn=turn)


@operation()
def exchange(turn: Turn) -> Commands:
    """The link is turned, then the service restarted; its sockets stay open unless they themselves changed.

    Certificates and DKIM keys alone are taken in by a reload, which touches no session.
    """
    if not turn.mine:
        return
    desired, before = target.here(), facts.observe().release
    if before != desired.release:
        yield StringCommand(shell.make_current(RELEASES, CURRENT, desired.release, before))
        facts.learn(release=desired.release)
    wrong = {difference.subject for difference in facts.differing("smtp", "unit")}
    if wrong:
        units = [unit for unit in desired.units if unit.role == "smtp"]
        yield StringCommand(restart([unit.name for unit in units], wrong, reload=before == desired.release))
        facts.learn_units(units)
    if strays := [difference.subject for difference in facts.differing("smtp", "stray")]:
        yield StringCommand("rm -f -- " + shlex.join(strays))
        facts.learn(ours=facts.observe().ours - set(strays))


RELOAD = (
    f"{shell.unchanged(SERVICE, FIXED)} && systemctl is-active --quiet {SERVICE} "
    f"&& systemctl reload {SERVICE} 2>/dev/null || "
)


def restart(units: list[str], wrong: set[str], *, reload: bool = False) -> str:
    """Shell that reloads or restarts the service alone where it can; a changed socket needs all closed for a moment.

    The service itself says whether a reload takes in all that is new; its unit is compared with what it was started by.
    """
    sockets = [unit for unit in units if unit != SERVICE]
    enable = f"systemctl enable --quiet {' '.join(units)}"
    if not wrong & set(sockets):
        return f"{enable}; {RELOAD if reload else ''}systemctl restart {SERVICE}"
    return (
        f"{enable}; systemctl stop {SERVICE} {' '.join(sockets)}"
        f" && systemctl start {' '.join(sockets)} && systemctl start {SERVICE}"
    )
