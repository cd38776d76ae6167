"""One node whose zones are at the Cloudflare double of tests/: `./mxfleet lab up --fleet inventories/lab_cloudflare.py`."""

from dataclasses import replace
from pathlib import Path

from mxfleet.fleet import Backup, Cloudflare, FileSecret, KeyPeriods, Vault, Zone, hosts
from mxfleet.fleet.load import load_file

_SINGLE = load_file(Path(__file__).resolve().with_name("single.py"))
_CLOUDFLARE = Cloudflare(
    token=FileSecret(Path("/run/mxfleet-lab/cloudflare.token")),
    address="http://127.0.0.1:7053",
    server="10.77.0.100",
)


def _at_cloudflare(zone: Zone) -> Zone:
    """Reverse zones stay where addresses come from."""
    return zone if zone.name.endswith(".arpa") else replace(zone, provider=_CLOUDFLARE)


FLEET = replace(
    _SINGLE,
    name="cloudflare",
    zones=tuple(map(_at_cloudflare, _SINGLE.zones)),
    vault=Vault(identity=FileSecret(Path("state/cloudflare/identity.txt"))),
    backup=Backup(operator_repository=Path("state/cloudflare/backup")),
    policy=replace(
        _SINGLE.policy,
        record_ttl=60,  # Cloudflare's least
        keys=KeyPeriods(ttl=60, visible=5, drain=130, revoked=10),
    ),
)

mx = hosts(FLEET)
