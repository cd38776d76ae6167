"""What may change DNS, ask for certificates or open the vault stays with the operator: no rendered file has it."""

from dataclasses import replace
from pathlib import Path

import pytest

from mxfleet.dns.plan_file import write
from mxfleet.fleet import Acme, Cloudflare, EnvSecret, FileSecret, Fleet, Rfc2136
from mxfleet.fleet.model import Node
from mxfleet.fleet.secrets import SecretReference
from mxfleet.render import File, render
from mxfleet.render.file import mark, name_of
from tests.unit.dns.samples import LAB, active_state, plan_of

from .samples import INVENTORIES, fleet_of, inputs_of, resolve, signing_of

NODES = [(fleet_of(name), node) for name in INVENTORIES for node in fleet_of(name).nodes]


def credentials(fleet: Fleet) -> list[SecretReference]:
    """All that only the operator's machine may have."""
    found: list[SecretReference] = [fleet.vault.identity]
    for zone in fleet.zones:
        if isinstance(zone.provider, Rfc2136):
            found.append(zone.provider.key)
        if isinstance(zone.provider, Cloudflare):
            found.append(zone.provider.token)
    if fleet.acme:
        found.append(fleet.acme.secret)
        found += [fleet.acme.binding[1]] if fleet.acme.binding else []
    return found


def carriers(files: tuple[File, ...], secrets: list[SecretReference]) -> list[str]:
    """The files that have a secret of these, or as much as its name."""
    return [
        file.path
        for file in files
        for secret in secrets
        if secret in file.secrets or resolve(secret) in file.content(resolve) or name_of(secret) in file.text
    ]


@pytest.mark.parametrize(("fleet", "node"), NODES, ids=lambda value: value.name)
def test_no_file_of_a_node_has_a_credential_of_dns_acme_or_vault(fleet: Fleet, node: Node) -> None:
    files = render(fleet, node, signing_of(fleet), inputs_of(fleet))
    assert len(credentials(fleet)) > len(fleet.zones)
    assert carriers(files, credentials(fleet)) == []


def test_a_file_that_had_one_would_be_named() -> None:
    token = EnvSecret("CLOUDFLARE_API_TOKEN")
    files = (
        File(role="mxd", path="/etc/a", text=f"token = {mark(token)}", secrets=(token,)),
        File(role="mxd", path="/etc/b", text="read the environment's CLOUDFLARE_API_TOKEN"),
        File(role="mxd", path="/etc/c", text="nothing"),
    )
    assert carriers(files, [token]) == ["/etc/a", "/etc/b"]


def test_the_credentials_of_all_kinds_are_known() -> None:
    zone = LAB.zones[0]
    binding = ("kid", EnvSecret("EAB"))
    fleet = replace(
        LAB,
        zones=(replace(zone, provider=Cloudflare(token=EnvSecret("TOKEN"))), *LAB.zones[1:]),
        acme=Acme(directory="https://acme.test/dir", issuer="acme.test", binding=binding),
    )
    names = {name_of(secret) for secret in credentials(fleet)}
    assert {
        "the environment's TOKEN", "the environment's EAB", "acme/acme.test+dir",
        "the file /run/mxfleet-lab/tsig.secret", "the file state/lab/identity.txt",
    } <= names  # fmt: skip


def test_a_plan_file_names_no_credential_and_no_place_of_one(tmp_path: Path) -> None:
    write(tmp_path / "plan.json", plan_of(LAB, active_state(), {}), zones=("corp.test",), adopt=False)
    text = (tmp_path / "plan.json").read_text()
    paths = [str(secret.path) for secret in credentials(LAB) if isinstance(secret, FileSecret)]
    assert "corp.test" in text
    assert paths
    assert [path for path in [*paths, "tsig"] if path in text] == []
