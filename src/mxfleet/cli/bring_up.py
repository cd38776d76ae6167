"""From booted guests to mail that flows: state, DNS, deploy and a message each way, as `lab up` does it."""

import json
import os
import sys
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from pathlib import Path

from mxfleet.errors import DnsError, FleetError, LabError
from mxfleet.fleet import Fleet
from mxfleet.lab.letters import Letter

Say = Callable[[str], None]

NEXT = """\
what to try next
{export}\
  mxfleet status                        who holds the service address, what waits in which queue
  mxfleet mail check                    the same three letters again
{power_off}\
  mxfleet lab ssh {node} 'echo "# x" | sudo tee -a /etc/nftables.conf'; mxfleet drift; mxfleet deploy
  mxfleet dns plan                      what would change in the zones; nothing now
  .venv/bin/pytest tests/fleet --fleet {inventory}
  mxfleet lab ssh world 'swaks --server {mx} --from carol@peer.test --to {recipient}'
  mxfleet lab down                      end it; nothing stays"""
EXPORT = "  export MXFLEET_FLEET={inventory}    several fleets have state here: say which\n"
POWER_OFF = "  mxfleet lab power-off {node}             cut its power and see how long the address is away; power-on {node}\n"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What `lab up` did: records changed, operations that changed something, and the letters."""

    records: int
    operations: int
    letters: tuple[Letter, ...]

    @property
    def good(self) -> bool:
        """Whether mail flows both ways and the forged letter was seen through."""
        return not any(letter.problems for letter in self.letters)


def bring_up(fleet: Fleet, inventory: Path, root: Path, say: Say) -> Outcome:
    """Give a fresh lab its keys, records and configuration; repeated, it does only what is missing."""
    prepare(fleet, root, say)
    announces = fleet.policy.mta_sts != "none"
    records = publish_records(fleet, root, say, without=("mta-sts",) if announces else ())
    certificates(fleet, inventory, root, say)
    operations = deploy(fleet, inventory, say)
    if announces:  # a policy is announced once it is served
        records += publish_records(fleet, root, say)
    say("a letter each way, and a forged one")
    from mxfleet.cli.mail import check_fleet

    return Outcome(records, operations, check_fleet(fleet))


def prepare(fleet: Fleet, root: Path, say: Say) -> None:
    """Ledger, vault, keys, the lab's certificates and the users' hashes, under state/<fleet>."""
    from mxfleet.keys.ledger import wall_clock, writing
    from mxfleet.keys.prepare import prepare_state
    from mxfleet.keys.vault import Vault
    from mxfleet.lab.state import DIRECTORY

    say(f"keys, certificates and accounts in {fleet.state_directory}")
    users: dict[str, str] = json.loads((DIRECTORY / "credentials.json").read_text())["users"]
    prepare_state(fleet, users, wall_clock, root)
    if fleet.acme:  # the records to come name the account and hold the keys
        from mxfleet.cli.certifying import registered

        with writing(root / fleet.state_directory, wall_clock, "mxfleet lab up", fleet.name) as writer:
            registered(fleet, Vault.of(fleet, root), writer, root)


def certificates(fleet: Fleet, inventory: Path, root: Path, say: Say) -> None:
    """From the fleet's authority, where it names one; raises StateError with the reason of a refusal."""
    if fleet.acme is None:
        return
    from mxfleet.cli.certifying import begin
    from mxfleet.cli.tending import Live

    say("certificates from the authority")
    begin(Live.of(fleet, inventory, root), "mxfleet lab up")


def publish_records(fleet: Fleet, root: Path, say: Say, without: Collection[str] = ()) -> int:
    """Publish and wait until every name server shows the keys; raises DnsError with what each one says."""
    from mxfleet.cli.dns import activation_text
    from mxfleet.dns.families import Family
    from mxfleet.dns.publish import publish
    from mxfleet.keys.ledger import wall_clock

    say("publishing the mail records")
    left = frozenset(Family(name) for name in without)
    published = publish(fleet, os.environ, wall_clock, root, without=left)
    if published.activation.waiting:
        raise DnsError(activation_text(published.activation), hint="mxfleet dns apply, then mxfleet lab up")
    return published.changes


def deploy(fleet: Fleet, inventory: Path, say: Say) -> int:
    """The deploy that production gets; raises DeployError."""
    from mxfleet.cli.deploy import run

    say(f"deploying to {', '.join(node.name for node in fleet.nodes)}")
    narration = run(fleet, inventory, quiet=True)
    if narration.failed:
        raise narration.error()
    return len(narration.changes)


def report(outcome: Outcome, fleet: Fleet, inventory: Path, root: Path, *, json_output: bool) -> int:
    """Print the letters and what to try next; the exit code."""
    from mxfleet.cli.mail import told

    if json_output:
        print(json.dumps({"up": outcome.good, **asdict(outcome)}, indent=2))
        return 0 if outcome.good else 1
    print("\n".join(line for letter in outcome.letters for line in told(letter)))
    if not outcome.good:
        raise LabError(
            "the lab is up, but mail does not flow as it should", hint="mxfleet mail check; mxfleet status"
        )
    print()
    print(what_next(fleet, inventory, root))
    print(
        "each node keeps its own queue until the cluster exists: mail that waits on a dead node waits for it",
        file=sys.stderr,
    )
    return 0


def is_chosen(inventory: Path, root: Path) -> bool:
    """Whether the other verbs take this inventory without being told."""
    from mxfleet.fleet.load import choose

    try:
        return choose(None, os.environ, root).resolve() == inventory.resolve()
    except FleetError:
        return False


def what_next(fleet: Fleet, inventory: Path, root: Path) -> str:
    """Commands that show what the fleet can do; those of a cluster only where there is one."""
    first, last = fleet.nodes[0].name, fleet.nodes[-1].name
    return NEXT.format(
        export="" if is_chosen(inventory, root) else EXPORT.format(inventory=inventory),
        inventory=inventory,
        mx=mx_address(fleet),
        recipient=first_recipient(fleet),
        node=last,
        power_off=POWER_OFF.format(node=first) if fleet.service else "",
    )


def mx_address(fleet: Fleet) -> str:
    """Where the preferred exchange answers."""
    return str((fleet.service or fleet.nodes[0]).address4)


def first_recipient(fleet: Fleet) -> str:
    """An address that exists."""
    domain = next(domain for domain in fleet.domains if domain.recipients)
    return f"{domain.recipients[0]}@{domain.name}"
