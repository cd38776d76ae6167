"""The ledger's pure view that rendering needs: which keys sign and which certificates are served."""

from dataclasses import dataclass
from datetime import datetime

from mxfleet.fleet.secrets import Secret


@dataclass(frozen=True, slots=True)
class DkimKey:
    """An active signing key: `algorithm` is `rsa` or `ed25519`, `public` the record's `p=` text."""

    domain: str
    selector: str
    algorithm: str
    public: str
    secret: Secret


@dataclass(frozen=True, slots=True)
class CertificateView:
    """An active certificate: its public chain (PEM), SHA-256 fingerprint (hex) and where its key is."""

    name: str
    chain_pem: str
    fingerprint: str
    not_after: datetime
    secret: Secret


@dataclass(frozen=True, slots=True)
class Signing:
    """What the ledger says is active now; holds no secret. `called` keys are to be on nodes, and not to sign yet.

    `unsigned` are domains that had active keys and have none now: all were withdrawn, and nodes must not go on with them.
    """

    dkim: tuple[DkimKey, ...] = ()
    called: tuple[DkimKey, ...] = ()
    unsigned: tuple[str, ...] = ()
    certificates: tuple[CertificateView, ...] = ()
    authority_pem: str = ""
