"""`python -m tests.cloudflare_double --zone corp.test`: the API on loopback until it is told to end."""

import argparse
import json
import signal
import sys
import threading
import time

from tests.cloudflare_double.account import Account
from tests.cloudflare_double.server import Double, running


def main() -> int:
    """Print the address and the token as one JSON line; on SIGTERM the number of requests."""
    parser = argparse.ArgumentParser(prog="cloudflare_double")
    parser.add_argument("--zone", action="append", default=[], help="repeatable")
    parser.add_argument("--zones", type=int, default=0, help="so many, z0.test …")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--unlimited", action="store_true", help="without the limit of requests")
    words = parser.parse_args()
    account = Account()
    for name in [*words.zone, *(f"z{number}.test" for number in range(words.zones))]:
        account.add(name)
    double = Double(account, time.monotonic, limited=not words.unlimited)
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    with running(double, words.port):
        sys.stdout.write(json.dumps({"address": double.address, "token": account.token}) + "\n")
        sys.stdout.flush()
        ended.wait()
    records = sum(len(zone.records) for zone in account.zones.values())
    sys.stdout.write(json.dumps({"requests": len(double.requests), "records": records}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
