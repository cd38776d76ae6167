"""TLS keys: minted here and sealed in the vault before anything names them, and the request for a certificate."""

import hashlib
from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from mxfleet.errors import StateError
from mxfleet.keys.authority import private_pem
from mxfleet.keys.facts import Issued, Minted
from mxfleet.keys.ledger import Writer
from mxfleet.keys.lifecycle import SUCCESSORS, KeyState, Material
from mxfleet.keys.needs import Hosts
from mxfleet.keys.renewal import ALGORITHM, due
from mxfleet.keys.state import KeyView, State
from mxfleet.keys.tending import adopted
from mxfleet.keys.vault import Vault


def mint_sealed(vault: Vault, name: str, now: datetime) -> Minted:
    """A new P-256 key for a host, its private half in the vault; the fact that the ledger is to name it with."""
    key = generate_private_key(SECP256R1())
    spki = hashlib.sha256(
        key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    ).hexdigest()
    label = f"p{now:%Y%m%d}-{spki[:6]}"
    vault.write(f"{Material.TLS}/{name}/{label}", private_pem(key))
    return Minted(material=Material.TLS, owner=name, label=label, algorithm=ALGORITHM, public="", spki=spki)


def mint_missing(writer: Writer, vault: Vault, hosts: Hosts) -> list[Minted]:
    """A first key for each name that is served nothing, and, where it has TLSA records, a next one beside it."""
    minted = []
    for name in hosts.nodes:
        keys = [key for key in writer.state.tls(name) if key.state in SUCCESSORS]
        served = writer.state.served(name) is not None
        wanted = (1 if served else 2) if name in hosts.bound else (0 if served else 1)
        for _ in range(wanted - len(keys)):
            minted.append(mint_sealed(vault, name, writer.clock()))
            writer.append(minted[-1])
    return minted


def bring(writer: Writer, fact: Issued, hosts: Hosts) -> bool:
    """Take in a certificate made elsewhere; whether it must wait until its key's TLSA record is seen everywhere.

    It must where the name is served another key and has TLSA records: then its key begins a life as any other, or goes
    on with the one that it has. Raises StateError for a key whose life is over, or a certificate that waits and ends soon.
    """
    refuse_spent(writer.state, fact)
    served = writer.state.served(fact.name)
    known = next((key for key in writer.state.tls(fact.name) if key.spki == fact.spki), None)
    new = served is not None and served.spki != fact.spki
    begins = known is None and new and (fact.name in hosts.bound or bool(writer.state.tls(fact.name)))
    held = begins or (known is not None and known.state is not KeyState.ACTIVE)
    if held:
        _refuse_old(fact, writer.clock())
    label = fact.secret.rpartition("/")[2]
    key = Minted(
        material=Material.TLS, owner=fact.name, label=label, algorithm="brought", public="", spki=fact.spki
    )
    writer.append(*(adopted(writer.state, hosts) if begins else ()))
    writer.append(*((key, fact) if begins else (fact,)))
    return held


def refuse_spent(state: State, fact: Issued) -> None:
    """Raise StateError where the certificate's key was replaced before: its TLSA record is gone, or goes."""
    for key in state.tls(fact.name):
        if key.spki == fact.spki and key.state not in SUCCESSORS | {KeyState.ACTIVE}:
            raise StateError(
                f"the key of this certificate, {key.label} of {fact.name}, was replaced and is {key.state}: "
                "it would not be served",
                hint="have a certificate made with another key, and import that",
            )


def _refuse_old(fact: Issued, now: datetime) -> None:
    """A key whose turn is still to come is taken up with a certificate that need not be replaced at once."""
    if now >= due(fact):
        raise StateError(
            f"the certificate for {fact.name} ends on {fact.not_after:%Y-%m-%d}: less than a third of its life is left, "
            "and its key is not served yet",
            hint="have it renewed first, then import that",
        )


def request(vault: Vault, key: KeyView) -> bytes:
    """The certificate signing request (PEM) of a key, for its own name and nothing else."""
    private = load_pem_private_key(vault.read(key.id), password=None)
    if not isinstance(private, EllipticCurvePrivateKey):
        raise StateError(f"the vault's {key.id} is not a P-256 key")
    return signing_request(private, [key.owner])


def signing_request(private: EllipticCurvePrivateKey, names: Sequence[str]) -> bytes:
    """A CSR (PEM) with the names as subjectAltName and an empty subject (RFC 8555 §7.4)."""
    alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    builder = builder.add_extension(alternatives, critical=False)
    return builder.sign(private, SHA256()).public_bytes(Encoding.PEM)
