"""Everything a fleet's state needs before its first deploy, in one repeatable step."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mxfleet.errors import StateError
from mxfleet.fleet.model import Fleet
from mxfleet.fleet.secrets import Secret
from mxfleet.keys import tls
from mxfleet.keys.accounts import set_password
from mxfleet.keys.authority import issue_missing
from mxfleet.keys.dkim import mint_missing
from mxfleet.keys.facts import Issued, Minted
from mxfleet.keys.ledger import Clock, writing
from mxfleet.keys.needs import certificate_names, hosts_of, sending_domains
from mxfleet.keys.vault import Vault


@dataclass(frozen=True, slots=True)
class Prepared:
    """What `prepare_state` had to make; all empty when it was all there."""

    identity: bool
    minted: tuple[Minted, ...]
    issued: tuple[Issued, ...]
    accounts: tuple[str, ...]


def prepare_state(
    fleet: Fleet, passwords: Mapping[str, str], clock: Clock, root: Path = Path(), by: str = "mxfleet lab up"
) -> Prepared:
    """Make what is missing of a laboratory's state: identity, ledger, keys, certificates, hashes, backup password.

    `passwords` maps account addresses to passwords; others in it (the peer's users) are passed over. DKIM keys
    are only minted: `mxfleet dns apply` publishes them and makes them active. Repeating it changes nothing.
    """
    vault = Vault.of(fleet, root)
    with writing(root / fleet.state_directory, clock, by, fleet.name) as writer:
        identity = vault.ensure_identity()
        minted = mint_missing(writer, vault, sending_domains(fleet))
        own = fleet.laboratory and fleet.acme is None
        issued = issue_missing(writer, vault, certificate_names(fleet)) if own else []
        if fleet.acme:
            tls.mint_missing(writer, vault, hosts_of(fleet))
        changed = _set_accounts(fleet, vault, passwords)
        ensure_backup_password(fleet, vault)
        ensure_forwarding_key(fleet, vault)
    return Prepared(identity, tuple(minted), tuple(issued), tuple(changed))


def ensure_backup_password(fleet: Fleet, vault: Vault) -> None:
    """Make the backup repositories' password where the vault has none."""
    name = fleet.backup.secret.name
    if not vault.has(name):
        vault.write(name, secrets.token_urlsafe(32).encode("ascii"))


def ensure_forwarding_key(fleet: Fleet, vault: Vault) -> None:
    """Make a key for rewritten reverse-paths (SRS) where the fleet forwards and the vault has none."""
    keys = fleet.forwarding.keys if fleet.forwarding else None
    if isinstance(keys, Secret) and not vault.has(keys.name):
        vault.write(keys.name, secrets.token_urlsafe(32).encode("ascii"))


def _set_accounts(fleet: Fleet, vault: Vault, passwords: Mapping[str, str]) -> list[str]:
    changed = []
    for account in fleet.accounts:
        if account.address not in passwords:
            raise StateError(f"no password is given for the account {account.address}")
        if set_password(vault, account, passwords[account.address]):
            changed.append(account.address)
    return changed
