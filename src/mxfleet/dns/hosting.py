"""From what the fleet says of a zone's host to a provider with its credentials."""

from collections.abc import Mapping
from pathlib import Path

import dns.tsig

from mxfleet.dns.providers.protocol import Provider
from mxfleet.dns.providers.rfc2136 import Rfc2136Provider
from mxfleet.dns.providers.transport import Server
from mxfleet.dns.providers.zonefile import ZoneFileProvider
from mxfleet.errors import DnsError
from mxfleet.fleet.model import Cloudflare, Fleet, Rfc2136, Zone, ZoneFile
from mxfleet.keys.secrets import resolve
from mxfleet.keys.vault import Vault


def providers_for(
    fleet: Fleet, vault: Vault, environment: Mapping[str, str], root: Path = Path()
) -> dict[str, Provider]:
    """Zone name → provider with its credentials; raises StateMissing where a secret is not there.

    Zones of one Cloudflare token share one provider: the limit of requests is the token's, not the zone's.
    """
    shared: dict[Cloudflare, Provider] = {}
    found: dict[str, Provider] = {}
    for zone in fleet.zones:
        match zone.provider:
            case Rfc2136() as how:
                found[zone.name] = _rfc2136(zone, how, resolve(how.key, vault, environment, root))
            case ZoneFile(path=path):
                found[zone.name] = ZoneFileProvider(root / path)
            case Cloudflare() as how:
                if how not in shared:
                    token = resolve(how.token, vault, environment, root)
                    shared[how] = _cloudflare(fleet.name, how, token)
                found[zone.name] = shared[how]
    return found


def _rfc2136(zone: Zone, how: Rfc2136, key: bytes) -> Provider:
    secret = key.decode("ascii", "replace").strip()
    try:
        tsig = dns.tsig.Key(how.key_name, secret, how.algorithm)
    except ValueError as error:  # binascii.Error is one
        raise DnsError(f"the TSIG secret for zone {zone.name} is not base64: {error}") from error
    return Rfc2136Provider(Server(how.server, how.port, tsig))


def _cloudflare(fleet: str, how: Cloudflare, token: bytes) -> Provider:
    from mxfleet.dns.providers.cloudflare import connect  # a second to import: only who needs it waits

    text = token.decode("ascii", "replace").strip()
    return connect(text, mark=f"mxfleet {fleet}", address=how.address, paid=how.paid)
