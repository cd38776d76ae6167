"""`python -m tests.cloudflare_double --zone corp.test`: the API on loopback until it is told to end.

With `--publish`, what is committed is shown by that name server `--lag` seconds later (the lab's way to run it).
"""

import argparse
import json
import signal
import sys
import threading
import time
from pathlib import Path

import dns.tsig

from tests.cloudflare_double.account import Account
from tests.cloudflare_double.publishing import Primary, Publisher
from tests.cloudflare_double.server import Double, running


def main() -> int:
    """Print the address and the token as one JSON line; on SIGTERM the number of requests."""
    parser = argparse.ArgumentParser(prog="cloudflare_double")
    parser.add_argument("--zone", action="append", default=[], help="repeatable")
    parser.add_argument("--zones", type=int, default=0, help="so many, z0.test …")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--unlimited", action="store_true", help="without the limit of requests")
    parser.add_argument("--token-file", type=Path)
    parser.add_argument("--publish", metavar="ADDRESS", help="of the primary of the zones")
    parser.add_argument("--publish-port", type=int, default=53)
    parser.add_argument("--lag", type=float, default=0.0)
    parser.add_argument("--key-name", default="mxfleet.")
    parser.add_argument("--algorithm", default="hmac-sha256")
    parser.add_argument("--key-file", type=Path, help="of its TSIG secret, base64")
    words = parser.parse_args()
    account = Account(words.token_file.read_text().strip()) if words.token_file else Account()
    for name in [*words.zone, *(f"z{number}.test" for number in range(words.zones))]:
        account.add(name)
    if words.publish:
        key = dns.tsig.Key(words.key_name, words.key_file.read_text().strip(), words.algorithm)
        Publisher(Primary(words.publish, words.publish_port, key), words.lag).begin(account)
    double = Double(account, time.monotonic, limited=not words.unlimited)
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    with running(double, words.port):
        told = {"address": double.address} | ({} if words.token_file else {"token": account.token})
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()
        ended.wait()
    records = sum(len(zone.records) for zone in account.zones.values())
    sys.stdout.write(json.dumps({"requests": len(double.requests), "records": records}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
