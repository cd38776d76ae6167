"""Everything secret in a lab, minted once a lab and kept beside its record until `down`; nothing of it is real."""

import base64
import datetime
import json
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from mxfleet.lab import access, authority, dnssec, neighbours
from mxfleet.lab.plan import BLOCKLIST, PEER_DOMAIN, REVERSE4, REVERSE6, Plan

PEER_USERS = (f"carol@{PEER_DOMAIN}", f"dave@{PEER_DOMAIN}", f"postmaster@{PEER_DOMAIN}")
ACME_HOST = "acme.test"
RELAY = f"relay.{PEER_DOMAIN}"  # Postfix under another name, which has no TLSA
TSIG_OCTETS = 32  # as long as the hash's output (RFC 8945 §8)


@dataclass(frozen=True, slots=True)
class Certificate:
    """A server's chain and key, PEM."""

    chain: str
    key: str


@dataclass(frozen=True, slots=True)
class Credentials:
    """All keys and passwords of one lab; `zone_keys` maps each zone to the PEM of its signing key."""

    login: tuple[str, str]
    host_keys: dict[str, tuple[str, str]]
    users: dict[str, str]
    tsig: str
    zone_keys: dict[str, str]
    authority: str
    certificates: dict[str, Certificate]
    peer_dkim: str


def served_zones(plan: Plan) -> tuple[str, ...]:
    """Every zone on `world`: those of the fleet, the reverse ones, and the Internet's own."""
    own = ("test", PEER_DOMAIN, BLOCKLIST, REVERSE4, REVERSE6)
    return (dnssec.ROOT, *sorted({*own, *plan.zones}))


def load_or_make(plan: Plan, directory: Path, now: datetime.datetime) -> Credentials:
    """Read the lab's secrets from `directory`, and mint there what is missing."""
    keep = _Store(directory)
    (directory / "hostkeys").mkdir(exist_ok=True)
    (directory / "zones").mkdir(exist_ok=True)
    root_key = keep.text("authority.key", authority.new_key)
    root = keep.text("authority.pem", lambda: authority.root_certificate(root_key, now))
    return Credentials(
        login=access.key_pair(directory / "id_ed25519", "mxfleet-lab"),
        host_keys={g.name: access.key_pair(directory / "hostkeys" / g.name, g.name) for g in plan.guests},
        users=_users((*plan.mailboxes, *PEER_USERS), directory / "credentials.json"),
        tsig=keep.text("tsig.secret", lambda: base64.b64encode(secrets.token_bytes(TSIG_OCTETS)).decode()),
        zone_keys={z: keep.text(f"zones/{file_stem(z)}.pem", dnssec.new_key) for z in served_zones(plan)},
        authority=root,
        certificates={
            name: _certificate(name, hosts, keep, root, root_key, now) for name, hosts in _servers(plan)
        },
        peer_dkim=keep.text("peer-dkim.pem", _rsa_key),
    )


def dkim_record(pem: str) -> str:
    """The value of the TXT record for an RSA key (RFC 6376 §3.6.1)."""
    public = load_pem_private_key(pem.encode(), None).public_key()
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"v=DKIM1; k=rsa; p={base64.b64encode(der).decode()}"


def file_stem(zone: str) -> str:
    """A zone's name as files bear it: the root's would be a dot."""
    return "root" if zone == dnssec.ROOT else zone


@dataclass(frozen=True, slots=True)
class _Store:
    """A directory of secrets that is filled on first use."""

    directory: Path

    def text(self, name: str, make: Callable[[], str]) -> str:
        """The file's content, made and kept where it is not there."""
        path = self.directory / name
        if not path.exists():
            access.write_private(path, make())
        return path.read_text(encoding="ascii")


def _users(addresses: Iterable[str], path: Path) -> dict[str, str]:
    known: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))["users"] if path.exists() else {}
    return {address: known.get(address) or secrets.token_urlsafe(12) for address in addresses}


def _servers(plan: Plan) -> list[tuple[str, tuple[str, ...]]]:
    """Who has a certificate, and for which host names: the guests that are not the fleet's, Pebble, neighbours."""
    guests = [(guest.name, (guest.hostname,)) for guest in plan.guests if guest.role == "office"]
    world = [(guest.name, (guest.hostname, RELAY)) for guest in plan.guests if guest.role == "world"]
    return [*guests, *world, ("acme", (ACME_HOST,)), *neighbours.CERTIFICATES.items()]


def _certificate(
    name: str, hosts: tuple[str, ...], keep: _Store, root: str, root_key: str, now: datetime.datetime
) -> Certificate:
    key = keep.text(f"{name}.key", authority.new_key)
    chain = keep.text(
        f"{name}.pem", lambda: authority.certificate(hosts[0], key, root, root_key, now, hosts[1:])
    )
    return Certificate(chain, key)


def _rsa_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def publish(plan: Plan, credentials: Credentials, directory: Path) -> None:
    """Write what others read: the users' passwords, the TSIG key, ssh's files."""
    shown = {
        "users": credentials.users,
        "tsig": {"name": plan.key_name, "algorithm": plan.algorithm, "secret": credentials.tsig},
    }
    access.write_private(directory / "credentials.json", json.dumps(shown, indent=2) + "\n")
    (directory / "ssh").mkdir(mode=0o700, exist_ok=True)
    known = access.known_hosts((guest, credentials.host_keys[guest.name][1]) for guest in plan.guests)
    (directory / "known_hosts").write_text(known, encoding="ascii")
    (directory / "ssh_config").write_text(access.configuration(plan.guests, directory), encoding="ascii")
