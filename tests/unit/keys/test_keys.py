"""Keys, certificates and passwords: made right, named right, refused when they do not fit."""

import base64
import hashlib
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dkim
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from mxfleet.errors import StateError, StateMissing
from mxfleet.fleet import Account, Fleet
from mxfleet.fleet.load import load_file
from mxfleet.keys import accounts
from mxfleet.keys.authority import issue, make_authority, wanting
from mxfleet.keys.certificates import covers, imported
from mxfleet.keys.compromise import compromise
from mxfleet.keys.dkim import mint, record_text, selector
from mxfleet.keys.facts import Moved
from mxfleet.keys.ledger import read_signing, read_state, signing_for, writing
from mxfleet.keys.lifecycle import KeyState
from mxfleet.keys.needs import server_names, warnings_of
from mxfleet.keys.prepare import prepare_state
from mxfleet.keys.sight import Observation
from mxfleet.keys.state import State
from mxfleet.keys.vault import Vault

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)
LAB = replace(load_file(Path(__file__).resolve().parents[3] / "inventories" / "lab.py"), acme=None)
LAB = replace(LAB, policy=replace(LAB.policy, mta_sts="none"))  # as with an authority of its own
PASSWORDS = {
    "alice@corp.test": "a long password",
    "bob@corp.test": "another one",
    "carol@peer.test": "not ours",
}
MESSAGE = b"From: alice@corp.test\r\nSubject: x\r\n\r\nbody\r\n"


def clock() -> datetime:
    return NOW


@pytest.mark.parametrize("algorithm", ["rsa", "ed25519"])
def test_another_implementation_verifies_what_the_key_signs_by_its_record(algorithm: str) -> None:
    key = mint(algorithm)
    private = key.private_pem
    if algorithm == "ed25519":  # dkimpy wants the raw 32 octets
        raw = load_pem_private_key(private, None).private_bytes(
            Encoding.Raw, PrivateFormat.Raw, NoEncryption()
        )
        private = base64.b64encode(raw)
    header = dkim.sign(
        MESSAGE, b"s1", b"corp.test", private, signature_algorithm=f"{algorithm}-sha256".encode()
    )
    record = record_text(algorithm, key.public)
    assert dkim.verify(header + MESSAGE, dnsfunc=lambda name, timeout=5: record)  # type: ignore[no-untyped-call]


def test_the_selector_names_algorithm_day_and_key() -> None:
    key = mint("rsa")
    assert selector(key, NOW) == f"r20261124-{key.spki[:6]}"
    spki = base64.b64decode(key.public)
    assert hashlib.sha256(spki).hexdigest() == key.spki
    assert selector(mint("ed25519"), NOW).startswith("e20261124-")


def test_the_record_of_ed25519_holds_the_raw_key_and_that_of_rsa_fits_two_strings() -> None:
    assert len(base64.b64decode(mint("ed25519").public)) == 32  # RFC 8463 §4
    assert len(record_text("rsa", mint("rsa").public)) <= 510


def test_a_password_matches_its_own_hash_and_no_other() -> None:
    phc = accounts.hash_password("correct horse")
    assert phc.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert accounts.matches("correct horse", phc)
    assert not accounts.matches("wrong horse", phc)
    assert not accounts.matches("correct horse", "not a hash")
    assert phc != accounts.hash_password("correct horse")


def test_a_short_password_is_refused() -> None:
    with pytest.raises(StateError, match="the password has fewer than 8 characters — choose a longer one"):
        accounts.hash_password("short")


def test_the_same_password_again_leaves_the_hash_as_it_is(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "vault", tmp_path / "identity")
    vault.ensure_identity()
    account = Account("alice@corp.test")
    assert accounts.set_password(vault, account, "a long password")
    first = vault.read("accounts/alice@corp.test")
    assert not accounts.set_password(vault, account, "a long password")
    assert vault.read("accounts/alice@corp.test") == first
    assert accounts.set_password(vault, account, "a new password")


def prepare(root: Path, fleet: Fleet = LAB) -> None:
    prepare_state(fleet, PASSWORDS, clock, root)


def test_preparing_makes_everything_once(tmp_path: Path) -> None:
    first = prepare_state(LAB, PASSWORDS, clock, tmp_path)
    ledger = (tmp_path / "state/lab/ledger.jsonl").read_bytes()
    second = prepare_state(LAB, PASSWORDS, clock, tmp_path)
    assert [(fact.owner, fact.algorithm) for fact in first.minted] == [
        ("corp.test", "rsa"), ("corp.test", "ed25519"), ("shop.test", "rsa"), ("shop.test", "ed25519"),
    ]  # fmt: skip
    assert [fact.name for fact in first.issued] == list(server_names(LAB))
    assert first.accounts == ("alice@corp.test", "bob@corp.test")
    assert (second.identity, second.minted, second.issued, second.accounts) == (False, (), (), ())
    assert (tmp_path / "state/lab/ledger.jsonl").read_bytes() == ledger


def test_a_domain_added_later_gets_its_keys_and_the_others_keep_theirs(tmp_path: Path) -> None:
    without = replace(
        LAB,
        domains=tuple(d for d in LAB.domains if d.name != "shop.test"),
        accounts=(Account("alice@corp.test"), Account("bob@corp.test")),
    )
    prepare(tmp_path, without)
    before = read_state(tmp_path / "state/lab").dkim("corp.test")
    prepare(tmp_path)
    assert read_state(tmp_path / "state/lab").dkim("corp.test") == before
    assert len(read_state(tmp_path / "state/lab").dkim("shop.test")) == 2


def test_an_account_without_a_password_is_named(tmp_path: Path) -> None:
    with pytest.raises(StateError, match=r"no password is given for the account bob@corp\.test"):
        prepare_state(LAB, {"alice@corp.test": "a long password"}, clock, tmp_path)


def test_minted_keys_are_not_yet_for_nodes(tmp_path: Path) -> None:
    prepare(tmp_path)
    assert read_signing(tmp_path / "state/lab").dkim == ()
    with pytest.raises(
        StateMissing, match=r"no active DKIM key for corp\.test, shop\.test — mxfleet dkim init, then"
    ):
        signing_for(LAB, tmp_path)


def test_a_domain_whose_keys_were_all_withdrawn_is_rendered_unsigned_and_a_new_one_is_still_refused(
    tmp_path: Path,
) -> None:
    """Else a node would go on with keys that are revoked."""
    prepare(tmp_path)
    with writing(tmp_path / "state/lab", clock, "test", "lab") as writer:
        keys = writer.state.dkim("corp.test")
        for step in (KeyState.PUBLISHED, KeyState.VISIBLE, KeyState.ACTIVE):
            writer.append(*(Moved(key=key.id, state=step) for key in keys))
        done = compromise(writer.state, [key.label for key in keys], Observation())
        writer.append(*done.facts)
        with pytest.raises(
            StateMissing, match=r"no active DKIM key for shop\.test — mxfleet dkim init, then"
        ):
            signing_for(LAB, tmp_path)
        for step in (KeyState.PUBLISHED, KeyState.VISIBLE, KeyState.ACTIVE):
            writer.append(*(Moved(key=key.id, state=step) for key in writer.state.dkim("shop.test")))
    signing = signing_for(LAB, tmp_path)
    assert {key.domain for key in signing.dkim} == {"shop.test"}
    assert warnings_of(signing) == [
        "corp.test has no active DKIM key any more: its mail leaves unsigned until a new one is; next: mxfleet tend"
    ]


def test_a_key_file_belongs_to_the_certificate_that_names_it(tmp_path: Path) -> None:
    prepare(tmp_path)
    vault = Vault.of(LAB, tmp_path)
    for certificate in read_signing(tmp_path / "state/lab").certificates:
        key = load_pem_private_key(vault.read(certificate.secret.name), None)
        assert x509.load_pem_x509_certificate(certificate.chain_pem.encode()).public_key() == key.public_key()


def test_openssl_trusts_each_certificate_for_its_own_name_only(tmp_path: Path) -> None:
    authority = make_authority("lab", datetime.now(UTC))
    fact, _ = issue(authority, "mx.corp.test", datetime.now(UTC))
    (tmp_path / "ca.pem").write_bytes(authority.certificate.public_bytes(Encoding.PEM))
    (tmp_path / "leaf.pem").write_text(fact.chain)

    def verified(name: str) -> bool:
        words = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", name]
        files = ["-CAfile", str(tmp_path / "ca.pem"), str(tmp_path / "leaf.pem")]
        return subprocess.run([*words, *files], capture_output=True, check=False).returncode == 0

    assert verified("mx.corp.test")
    assert not verified("mx1.corp.test")


def test_certificates_are_issued_anew_a_month_before_they_end(tmp_path: Path) -> None:
    prepare(tmp_path)
    state = read_state(tmp_path / "state/lab")
    assert wanting(state, server_names(LAB), NOW + timedelta(days=59)) == []
    assert wanting(state, server_names(LAB), NOW + timedelta(days=61)) == list(server_names(LAB))
    assert wanting(State(), ["mx.corp.test"], NOW) == ["mx.corp.test"]


def test_an_imported_certificate_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    prepare(tmp_path)
    authority = make_authority("elsewhere", NOW)
    elsewhere, key = issue(authority, "mx.corp.test", NOW)
    issuer = authority.certificate.public_bytes(Encoding.PEM)
    fact, private = imported("mx.corp.test", elsewhere.chain.encode() + issuer, key, NOW)
    Vault.of(LAB, tmp_path).write(fact.secret, private)
    with writing(tmp_path / "state/lab", clock, "test", "lab") as writer:
        writer.append(fact)
    served = {c.name: c for c in read_signing(tmp_path / "state/lab").certificates}["mx.corp.test"]
    assert served.fingerprint == elsewhere.fingerprint
    assert served.chain_pem.count("BEGIN CERTIFICATE") == 2
    assert served.secret.name.startswith("tls/mx.corp.test/i20261124-")


def test_what_does_not_fit_is_not_imported() -> None:
    authority = make_authority("elsewhere", NOW)
    fact, key = issue(authority, "mx.corp.test", NOW)
    chain, issuer = fact.chain.encode(), authority.certificate.public_bytes(Encoding.PEM)
    _, other_key = issue(authority, "mx.corp.test", NOW)
    other_chain = make_authority("third", NOW).certificate.public_bytes(Encoding.PEM)
    for arguments, sentence in (
        (
            ("mx1.corp.test", chain, key, NOW),
            r"the certificate is for mx\.corp\.test, not for mx1\.corp\.test",
        ),
        (("mx.corp.test", chain, other_key, NOW), "do not belong together — is the leaf first in the chain"),
        (("mx.corp.test", issuer + chain, key, NOW), "do not belong together"),
        (
            ("mx.corp.test", chain + other_chain, key, NOW),
            "certificate 1 of the chain was not issued by the next",
        ),
        (
            ("mx.corp.test", chain, key, NOW + timedelta(days=91)),
            r"is valid from 2026-11-24 to 2027-02-22, not now",
        ),
        (("mx.corp.test", b"nothing", key, NOW), "the chain holds no PEM certificate"),
        (("mx.corp.test", chain, b"nothing", NOW), "the key is not a PEM private key without passphrase"),
        (("mx.corp.test", chain, mint("ed25519").private_pem, NOW), "the key is neither RSA nor ECDSA"),
    ):
        with pytest.raises(StateError, match=sentence):
            imported(*arguments)


def test_an_rsa_key_for_another_certificate_does_not_fit_either() -> None:
    authority = make_authority("elsewhere", NOW)
    fact, _ = issue(authority, "mx.corp.test", NOW)
    rsa = generate_private_key(public_exponent=65537, key_size=2048)
    pem = rsa.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(StateError, match="do not belong together"):
        imported("mx.corp.test", fact.chain.encode(), pem, NOW)


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("mx.corp.test", "mx.corp.test", True),
        ("*.corp.test", "mx.corp.test", True),
        ("*.corp.test", "a.mx.corp.test", False),
        ("*.corp.test", "corp.test", False),
        ("mx.corp.test", "mx1.corp.test", False),
    ],
)
def test_a_wildcard_stands_for_one_label(pattern: str, name: str, fits: bool) -> None:
    assert covers(pattern, name) is fits
