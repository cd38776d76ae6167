"""`python -m bench.dns`: requests that plan and first apply cost, ours against octoDNS's Cloudflare provider.

Both bring the same zones, empty at first, to the same 12 records each, on the same double in the same run: a plan,
an apply (which plans anew, as both do), and a plan that finds nothing to do. Requests are what is scarce: 1,200
in five minutes. octoDNS is installed into a temporary environment; its page rules are off, in its favour.
"""

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.measured import keep
from mxfleet.dns.records import Record
from mxfleet.fleet import Fleet
from mxfleet.keys.facts import AnyFact

ROOT = Path(__file__).resolve().parents[1]
PEER = ("octodns==1.22.0", "octodns-cloudflare==1.2.0")


def main() -> int:
    """Print both sides' requests and their ratio."""
    parser = argparse.ArgumentParser(prog="bench.dns")
    parser.add_argument("--zones", type=int, default=1000)
    parser.add_argument("--json", action="store_true")
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        ours = _ours(words.zones)
        theirs = _theirs(words.zones, Path(scratch))
    result = {
        "zones": words.zones, "ours": ours, "octodns": theirs,
        "ratios": {"requests": round(ours["first"] / theirs["first"], 3), "empty": round(ours["empty"] / theirs["empty"], 3)},
    }  # fmt: skip
    keep("dns", result)
    print(json.dumps(result, indent=None if words.json else 2))
    return 0


@contextmanager
def double(zones: int) -> Iterator[tuple[dict[str, str], "subprocess.Popen[str]"]]:
    """The double as a process of its own, without its limit (neither side shall sleep through the run)."""
    command = [sys.executable, "-m", "tests.cloudflare_double", "--zones", str(zones), "--unlimited"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout
        try:
            yield json.loads(process.stdout.readline()), process
        finally:
            process.send_signal(signal.SIGTERM)


def counted(process: "subprocess.Popen[str]") -> dict[str, int]:
    """End the double; how many requests it had, and how many records it holds."""
    assert process.stdout
    process.send_signal(signal.SIGTERM)
    found: dict[str, int] = json.loads(process.stdout.readline())
    return found


def _ours(zones: int) -> dict[str, Any]:
    """First a plan and an apply, then an empty plan; each with a provider of its own, as two commands have."""
    first, records, seconds = _our_run(zones, again=False)
    both, _, _ = _our_run(zones, again=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return {
        "first": first,
        "empty": both - first,
        "records": records,
        "seconds": round(seconds, 1),
        "peak_mib": peak,
    }


def _our_run(zones: int, *, again: bool) -> tuple[int, int, float]:
    from mxfleet.dns.providers.cloudflare import connect
    from mxfleet.dns.publish import Planned, apply_plan, make_plan
    from mxfleet.fleet.transport_policy import policy_text
    from mxfleet.keys.ledger import writing

    fleet = _fleet(zones)
    policy = policy_text(fleet).encode()

    def plan(of: dict[str, Any]) -> Planned:
        """The policy is on all nodes, of which there are none here."""
        return make_plan(fleet, writer.state, of, fetch=lambda _host, _address: policy)

    with double(zones) as (where, process), tempfile.TemporaryDirectory() as state:
        begun = time.monotonic()

        def providers() -> dict[str, Any]:
            shared = connect(where["token"], address=where["address"])
            shared.limiter.requests = 10**9
            return {zone.name: shared for zone in fleet.zones}

        with writing(Path(state), lambda: datetime.now(UTC), "bench", fleet.name) as writer:
            writer.append(*_keys(fleet))
            plan(providers())
            planned, applying = None, providers()
            planned = plan(applying)
            apply_plan(planned, writer, applying)
            if again:
                assert not plan(providers()).plan.pending
        seconds = time.monotonic() - begun
        found = counted(process)
    assert found["records"] == 12 * zones + 12, found
    return found["requests"], found["records"], seconds


def _fleet(zones: int) -> Fleet:
    """Domains with 4 MX, SPF, DMARC, 2 DKIM, MTA-STS (TXT, A, AAAA) and TLS-RPT; the hosts' 12 are in the first zone."""
    from mxfleet.fleet import Cloudflare, EnvSecret, Lmtp, Zone
    from mxfleet.fleet.load import load_file

    lab = load_file(ROOT / "inventories" / "lab.py")
    names = [f"z{number}.test" for number in range(zones)]
    provider = Cloudflare(token=EnvSecret("TOKEN"))
    return replace(
        lab,
        nodes=tuple(replace(node, hostname=f"{node.name}.{names[0]}") for node in lab.nodes),
        service=replace(lab.service, hostname=f"mx.{names[0]}") if lab.service else None,
        submission_hostname="", accounts=(), postmaster="", forwarding=None,
        domains=tuple(replace(lab.domains[0], name=name, route=Lmtp("office.test", 24)) for name in names),
        zones=tuple(Zone(name=name, provider=provider) for name in names),
        policy=replace(
            lab.policy, record_ttl=300, reports="", mta_sts="enforce", tls_reports=f"tls@{names[0]}",
            keys=replace(lab.policy.keys, ttl=300),
        ),
    )  # fmt: skip


def _keys(fleet: Fleet) -> Iterator[AnyFact]:
    """Keys as the ledger has them once they are active; the private halves play no part here."""
    from mxfleet.keys.facts import Minted, Moved
    from mxfleet.keys.lifecycle import KeyState, Material

    for domain in fleet.domains:
        for algorithm, public in (("rsa", "A" * 392), ("ed25519", "B" * 44)):
            label = f"{algorithm[0]}20261124-000001"
            yield Minted(
                material=Material.DKIM, owner=domain.name, label=label, algorithm=algorithm,
                public=public, spki="00" * 32,
            )  # fmt: skip
            for state in (KeyState.PUBLISHED, KeyState.VISIBLE, KeyState.ACTIVE):
                yield Moved(key=f"dkim/{domain.name}/{label}", state=state)


def _theirs(zones: int, scratch: Path) -> dict[str, Any]:
    """The same, in octoDNS's words."""
    python = _environment(scratch)
    first, records, seconds = _their_run(zones, scratch, python, ("plan", "apply"))
    both, _, _ = _their_run(zones, scratch, python, ("plan", "apply", "plan"))
    return {"first": first, "empty": both - first, "records": records, "seconds": round(seconds, 1)}


def _their_run(zones: int, scratch: Path, python: Path, verbs: tuple[str, ...]) -> tuple[int, int, float]:
    import yaml

    files = scratch / "zones"
    files.mkdir(exist_ok=True)
    for name, records in _as_octodns(_fleet(zones)).items():
        (files / f"{name}.yaml").write_text(yaml.safe_dump(records))
    with double(zones) as (where, process):
        config = {
            "providers": {
                "files": {"class": "octodns.provider.yaml.YamlProvider", "directory": str(files), "default_ttl": 300},
                "cloudflare": {
                    "class": "octodns_cloudflare.CloudflareProvider", "token": where["token"],
                    "api_url": f"{where['address']}/client/v4", "pagerules": False,
                },
            },
            "zones": {f"{zone}.": {"sources": ["files"], "targets": ["cloudflare"]} for zone in (f"z{n}.test" for n in range(zones))},
        }  # fmt: skip
        (scratch / "config.yaml").write_text(yaml.safe_dump(config))
        begun = time.monotonic()
        for verb in verbs:
            command = [
                str(python),
                "-I",
                str(ROOT / "bench" / "octodns_run.py"),
                str(scratch / "config.yaml"),
                verb,
            ]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise SystemExit(f"octoDNS failed: {done.stderr[-2000:]}")
        seconds = time.monotonic() - begun
        found = counted(process)
    assert found["records"] == 12 * zones + 12, found
    return found["requests"], found["records"], seconds


def _as_octodns(fleet: Fleet) -> dict[str, dict[str, Any]]:
    """Zone → name → octoDNS's record sets, from what we want ourselves."""
    from mxfleet.dns.desired import desired
    from mxfleet.keys.facts import Entry, Opened
    from mxfleet.keys.state import fold

    facts = (Opened(fleet=fleet.name), *_keys(fleet))
    state = fold(
        Entry(number=n, previous="", at=datetime.now(UTC), by="bench", what=f) for n, f in enumerate(facts, 1)
    )
    zones: dict[str, dict[str, Any]] = {}
    for zone, items in desired(fleet, state).zones:
        sets: dict[tuple[str, str], list[Any]] = {}
        for item in items:
            name = item.record.name.removesuffix(zone).rstrip(".")
            sets.setdefault((name, item.record.type), []).append(_value(item.record))
        names: dict[str, Any] = {}
        for (name, kind), values in sets.items():
            names.setdefault(name, []).append({"type": kind, "ttl": 300, "values": values})
        zones[zone] = names
    return zones


def _value(record: Record) -> object:
    match record.type:
        case "MX":
            preference, exchange = record.value.split(" ")
            return {"preference": int(preference), "exchange": exchange}
        case "TXT":
            return record.octets.decode().replace(";", "\\;")
    return record.value


def _environment(scratch: Path) -> Path:
    place = scratch / "octodns"
    venv.create(place, with_pip=True)
    subprocess.run(
        [str(place / "bin" / "pip"), "install", "-q", *PEER],
        check=True,
        env=os.environ,
        stdout=subprocess.DEVNULL,
    )
    return place / "bin" / "python"


if __name__ == "__main__":
    sys.exit(main())
