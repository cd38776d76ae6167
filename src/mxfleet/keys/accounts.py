"""Accounts' passwords: only an Argon2id hash is ever kept, as a PHC string in the vault."""

import os

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from mxfleet.errors import StateError
from mxfleet.fleet.model import Account
from mxfleet.keys.vault import Vault

MEMORY_KIB, PASSES, LANES = 19 * 1024, 2, 1
"""OWASP's first choice for Argon2id: 19 MiB and two passes; about 25 ms of one core a login."""

SHORTEST = 8


def hash_password(password: str) -> str:
    """The PHC string (`$argon2id$v=19$m=19456,t=2,p=1$salt$hash`) of a password, with a new salt."""
    if len(password) < SHORTEST:
        raise StateError(f"the password has fewer than {SHORTEST} characters", hint="choose a longer one")
    derive = Argon2id(
        salt=os.urandom(16), length=32, iterations=PASSES, lanes=LANES, memory_cost=MEMORY_KIB
    ).derive_phc_encoded
    return derive(password.encode())


def matches(password: str, phc: str) -> bool:
    """Whether the password is the one that was hashed."""
    try:
        Argon2id.verify_phc_encoded(password.encode(), phc)
    except InvalidKey:
        return False
    return True


def set_password(vault: Vault, account: Account, password: str) -> bool:
    """Keep the password's hash for the account; says whether anything changed (the same password does not)."""
    name = account.secret.name
    if vault.has(name) and matches(password, vault.read(name).decode("ascii")):
        return False
    vault.write(name, hash_password(password).encode("ascii"))
    return True
