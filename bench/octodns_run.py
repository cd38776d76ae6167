"""Run inside octoDNS's own environment: plan, or plan and apply, zone files against an address that is not Cloudflare's."""

import sys

from octodns.manager import Manager  # type: ignore[import-not-found]  # it has an environment of its own

CONFIG, DOIT = sys.argv[1], sys.argv[2] == "apply"
Manager(CONFIG).sync(dry_run=not DOIT, force=True)
