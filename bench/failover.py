"""`python -m bench.failover [--times 10] [--json]`: how long the service address is away when its holder dies.

Cuts the power of whoever holds the address, ten times over; `world` connects every 20 ms, over both families.
Results: docs/measured/failover.jsonl.
"""

import argparse
import json
import statistics
import subprocess
import sys
from typing import Any

from bench.measured import keep
from mxfleet.errors import LabError, MxfleetError
from mxfleet.lab import guests, power, state
from mxfleet.lab.plan import guest_of


def main() -> int:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--times", type=int, default=10, help="power failures")
    arguments = parser.parse_args()
    try:
        result = measure(arguments.times)
    except MxfleetError as error:
        print(f"bench.failover: {error}", file=sys.stderr)
        return 1
    keep("failover", result)
    print(json.dumps(result) if arguments.json else told(result))
    return 0


def measure(times: int) -> dict[str, Any]:
    """Seconds of each outage by address; raises LabError where one never ends."""
    facts = state.require().facts
    seconds: dict[str, list[float]] = {address: [] for address in facts["service"]}
    for _ in range(times):
        holder = guest_of(facts, power.holder(facts))
        outcome = power.off(holder, lambda _: None)
        for outage in outcome.outages:
            if outage.seconds is None:
                raise LabError(f"{outage.told()}: {holder.name} was its holder")
            seconds[outage.address].append(round(outage.seconds, 3))
        power.on(holder)
        healthy(holder.name)
        print(f"{holder.name}: {', '.join(outage.told() for outage in outcome.outages)}", file=sys.stderr)
    return {"seconds": seconds}


def healthy(node: str) -> None:
    """Wait until the exchange on the node answers again, so that the next failure finds a whole fleet."""
    done = guests.run(node, ["/opt/mxfleet/current/venv/bin/mxd", "health", "--wait", "30"], timeout=40)
    if done.returncode != 0:
        raise LabError(f"{node} does not become healthy after power-on", hint=f"mxfleet lab ssh {node}")
    subprocess.run(["sleep", "2"], check=True)  # keepalived's check must have seen it


def told(result: dict[str, Any]) -> str:
    """Median and worst of each address."""
    return "\n".join(
        f"{address:<14} median {statistics.median(all_of) * 1000:.0f} ms, worst {max(all_of) * 1000:.0f} ms (n={len(all_of)})"
        for address, all_of in result["seconds"].items()
    )


if __name__ == "__main__":
    sys.exit(main())
