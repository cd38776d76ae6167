"""The Cloudflare of a laboratory: the stand-in of tests/cloudflare_double, run beside the guests from the clone.

Nothing of tests/ is imported: it is a program that the keeper starts in a control group of its own, so that `down`
ends it as it ends a guest. It shows what it holds on the lab's Knot, some seconds late.
"""

import secrets
import sys
from pathlib import Path
from urllib.parse import urlsplit

from mxfleet.errors import LabError
from mxfleet.lab import access, cgroup, guests, services
from mxfleet.lab.plan import PREFIX, WORLD4, Plan
from mxfleet.lab.state import DIRECTORY

GROUP = f"{PREFIX}cloudflare"
TOKEN = DIRECTORY / "cloudflare.token"
LOG = DIRECTORY / "cloudflare.log"
LAG = 2
"""Seconds from a commit to its being seen."""
START_SECONDS = 20


def start(plan: Plan, owner: Path, tree: cgroup.Tree) -> None:
    """Start the double where the fleet has zones at Cloudflare and it does not run yet; raises LabError.

    `owner` is the clone whose tests/ has it. The guests are up: it begins with what Knot has.
    """
    if not plan.cloudflare or cgroup.populated(tree.root / GROUP):
        return
    if not (owner / "tests" / "cloudflare_double").is_dir():
        raise LabError(f"the lab's Cloudflare is tests/cloudflare_double, which {owner} has not")
    if not TOKEN.exists():
        access.write_private(TOKEN, secrets.token_urlsafe(30))
    guests.keep(
        {
            "group": str(cgroup.group(tree, GROUP)),
            "arguments": command(plan, owner),
            "environment": {"PATH": guests.NSPAWN_ENVIRONMENT["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
            "log": str(LOG),
        },
        tree,
    )
    port = urlsplit(plan.cloudflare_address).port or 0
    if not cgroup.wait_until(lambda: services.answers("127.0.0.1", port), START_SECONDS, step=0.1):
        raise LabError(f"the lab's Cloudflare does not answer on port {port}", hint=f"see {LOG}")
    if not cgroup.populated(tree.root / GROUP):
        raise LabError(f"port {port} on 127.0.0.1 is somebody else's", hint=f"see {LOG}; end that program")


def command(plan: Plan, owner: Path) -> list[str]:
    """Its command line; the secrets are in files that it names."""
    words = [
        "env",
        f"--chdir={owner}",
        sys.executable,
        "-m",
        "tests.cloudflare_double",
        "--token-file",
        str(TOKEN),
    ]
    words += ["--port", str(urlsplit(plan.cloudflare_address).port)]
    words += ["--publish", str(WORLD4), "--lag", str(LAG)]
    words += ["--key-name", plan.key_name, "--algorithm", plan.algorithm]
    words += ["--key-file", str(DIRECTORY / "tsig.secret")]
    return words + [word for zone in plan.cloudflare for word in ("--zone", zone)]
