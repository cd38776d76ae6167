"""Whom the lab's mail programs believe: the root above the fleet's certificates, new with every start of Pebble."""

import http.client
import socket
import ssl

from mxfleet.errors import LabError
from mxfleet.fleet import Fleet
from mxfleet.lab.credentials import ACME_HOST
from mxfleet.lab.plan import WORLD4

MANAGEMENT, SECONDS = 15000, 10


def fleet_authority(fleet: Fleet, own: str) -> str:
    """PEM of the root: Pebble's where the fleet asks it for certificates, else the laboratory's `own`."""
    if fleet.acme is None:
        return own
    trust = fleet.acme.trust
    context = ssl.create_default_context(cafile=str(trust) if trust else None)
    connection = http.client.HTTPSConnection(ACME_HOST, MANAGEMENT, context=context)
    try:
        plain = socket.create_connection((str(WORLD4), MANAGEMENT), timeout=SECONDS)
        connection.sock = context.wrap_socket(plain, server_hostname=ACME_HOST)
        connection.request("GET", "/roots/0")
        return connection.getresponse().read().decode("ascii")
    except (OSError, http.client.HTTPException) as error:
        raise LabError(f"world's Pebble does not give its root: {error}", hint="mxfleet lab up") from error
    finally:
        connection.close()
