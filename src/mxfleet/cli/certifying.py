"""Certificates for real: an account with the fleet's authority, proofs in its zones, chains into the ledger."""

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mxfleet.dns.activation import PATIENCE, PAUSE
from mxfleet.dns.challenges import Challenges
from mxfleet.dns.families import Family
from mxfleet.dns.providers.protocol import Provider
from mxfleet.dns.publish import KEY_FAMILIES, publish_keys
from mxfleet.errors import StateError
from mxfleet.fleet import Fleet
from mxfleet.keys.acme_client import Directory, Failure, account_key
from mxfleet.keys.acme_orders import Request, obtain
from mxfleet.keys.certificates import obtained
from mxfleet.keys.facts import AccountMade, Issued, Moved
from mxfleet.keys.ledger import Writer, writing
from mxfleet.keys.needs import hosts_of
from mxfleet.keys.renewal import renewals
from mxfleet.keys.rotation import Certify, Mint, Step, Wait
from mxfleet.keys.secrets import resolve
from mxfleet.keys.sight import Observation
from mxfleet.keys.state import KeyView, State
from mxfleet.keys.tending import adopted
from mxfleet.keys.tending import certify as write_down
from mxfleet.keys.tls import mint_missing, request
from mxfleet.keys.vault import Vault

if TYPE_CHECKING:
    from mxfleet.cli.tending import Live


def registered(fleet: Fleet, vault: Vault, writer: Writer, root: Path) -> Directory:
    """The authority with our account there, its URL in the ledger.

    Raises StateError with the authority's reason, in one line.
    """
    acme = fleet.acme
    if acme is None:
        raise StateError(f"fleet {fleet.name!r} names no authority", hint="give it acme=Acme(...)")
    directory = Directory(acme, account_key(vault, acme), root)
    binding = resolve(acme.binding[1], vault, os.environ, root).decode().strip() if acme.binding else ""
    try:
        made = directory.register(binding)
    except Failure as error:
        raise StateError(f"no account: {directory.sentence(error)}") from error
    known = (writer.state.acme_directory, writer.state.acme_account)
    if made or known != (acme.directory, directory.account):
        writer.append(AccountMade(directory=acme.directory, url=directory.account))
    return directory


def certify(
    fleet: Fleet,
    vault: Vault,
    writer: Writer,
    providers: Mapping[str, Provider],
    keys: Sequence[KeyView],
    root: Path,
) -> dict[str, Issued | str]:
    """By key id the certificate, or in one line why it was not to be had."""
    before = writer.state.acme_account
    try:
        directory = registered(fleet, vault, writer, root)
    except StateError as error:
        return {key.id: error.message for key in keys}
    if writer.state.acme_account != before:  # CAA records name the account, and the authority heeds them
        publish_keys(fleet, writer, providers, {Family.CAA})
    challenges = Challenges(fleet, writer, providers)
    try:
        requests = [Request(key.owner, request(vault, key)) for key in keys]
        found = obtain(directory, requests, challenges.present)
    finally:
        challenges.remove()
    return {key.id: _outcome(key, *found[key.owner], vault, writer) for key in keys}


def begin(live: "Live", by: str, patience: float = PATIENCE) -> list[Issued]:
    """The first certificate of every name that has none; returns those that were had.

    A laboratory's authority that does not know our account any more was started anew, with another root: all
    certificates are had again, with the keys that they have. Raises StateError with the first refusal.
    """
    fleet, hosts, end = live.fleet, hosts_of(live.fleet), time.monotonic() + patience
    with writing(live.root / fleet.state_directory, live.clock, by, fleet.name) as writer:
        registered(fleet, live.vault, writer, live.root)
        mint_missing(writer, live.vault, hosts)
        publish_keys(fleet, writer, live.providers, KEY_FAMILIES | {Family.CAA})
        before = writer.state.certificates
        if fleet.laboratory:
            writer.append(*adopted(writer.state, hosts))
            _insist(write_down(writer, live, _untrusted(writer.state)))
        while waiting := [name for name in hosts.nodes if writer.state.served(name) is None]:
            seen = Observation((), live.dissent(writer.state))
            decision = renewals(writer.state, seen, fleet.policy.keys, live.clock(), hosts)
            steps = [s for s in decision.steps if not isinstance(s, Mint) and s.key.owner in waiting]
            writer.append(*(Moved(key=s.key.id, state=s.state) for s in steps if isinstance(s, Step)))
            _insist(write_down(writer, live, [s.key for s in steps if isinstance(s, Certify)]))
            if not steps and time.monotonic() > end:
                raise StateError(
                    _stuck(waiting, decision.waits), hint="mxfleet tls status, then the same again"
                )
            if not steps:
                time.sleep(PAUSE)
        return [fact for fact in writer.state.certificates if fact not in before]


def in_use(state: State) -> list[KeyView]:
    """The keys that are served, with certificates that an authority gave."""
    shown = {(fact.name, fact.spki) for fact in state.certificates if fact.issuer == "acme"}
    return [key for key in state.tls() if (key.owner, key.spki) in shown]


def _untrusted(state: State) -> list[KeyView]:
    """The keys that are served with certificates of another authority than the fleet's present one."""
    shown = {(f.name, f.spki) for f in state.certificates if f.issuer == "authority"}
    shown |= {(f.name, f.spki) for f in state.certificates} & state.forgotten
    return [key for key in state.tls() if (key.owner, key.spki) in shown]


def _insist(refused: Mapping[str, str]) -> None:
    if refused:
        more = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
        raise StateError(next(iter(refused.values())) + more, hint="mend it, then the same command again")


def _stuck(names: Sequence[str], waits: Sequence[Wait]) -> str:
    for wait in waits:
        if wait.key.owner in names and not wait.reason.startswith("spare"):
            return f"no certificate for {wait.key.owner}: its key {wait.key.label} is {wait.key.state}: {wait.reason}"
    return f"no certificate for {names[0]}"


def _outcome(key: KeyView, chain: str, trouble: str, vault: Vault, writer: Writer) -> Issued | str:
    if trouble:
        return f"no certificate for {key.owner}: {trouble}"
    try:
        return obtained(key.owner, chain, vault.read(key.id), key.id, writer.clock())
    except StateError as error:
        return f"no certificate for {key.owner}: what the authority gave is unfit: {error.message}"
