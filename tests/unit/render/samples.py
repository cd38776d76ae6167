"""A ledger's view, release and operator's files for tests: made up, the same every time."""

from datetime import UTC, datetime
from pathlib import Path

from mxfleet.fleet.load import load_file
from mxfleet.fleet.model import Fleet
from mxfleet.fleet.secrets import Secret, SecretReference
from mxfleet.fleet.signing import CertificateView, DkimKey, Signing
from mxfleet.fleet.transport_policy import policy_hosts
from mxfleet.render.file import name_of
from mxfleet.render.inputs import Inputs, named_by

ROOT = Path(__file__).resolve().parents[3]
INVENTORIES = sorted(path.stem for path in (ROOT / "inventories").glob("*.py"))
RELEASE = "0.1.0+0123456789ab"


def fleet_of(name: str) -> Fleet:
    return load_file(ROOT / "inventories" / f"{name}.py")


def signing_of(fleet: Fleet) -> Signing:
    names = [node.hostname for node in fleet.nodes]
    names += [fleet.service.hostname] if fleet.service else []
    names += [fleet.submission_hostname] if fleet.submission_hostname else []
    names += policy_hosts(fleet)
    return Signing(
        dkim=tuple(
            DkimKey(domain.name, selector, algorithm, "p=", Secret(f"dkim/{domain.name}/{selector}"))
            for domain in fleet.domains
            if not domain.parked
            for selector, algorithm in (("r20261123-7f3c9a", "rsa"), ("e20261123-19b0c4", "ed25519"))
        ),
        certificates=tuple(
            CertificateView(
                name,
                f"-----BEGIN CERTIFICATE-----\n{name}\n-----END CERTIFICATE-----\n",
                "00" * 32,
                datetime(2027, 1, 1, tzinfo=UTC),
                Secret(f"tls/{name}/p20261123-aaaaaa"),
            )
            for name in names
        ),
    )


def inputs_of(fleet: Fleet) -> Inputs:
    return Inputs(RELEASE, {path: f"what {path} says\n" for path in named_by(fleet)})


def resolve(reference: SecretReference) -> bytes:
    return f"<{name_of(reference)}>".encode()
