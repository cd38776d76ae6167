"""The policyhost role's files: Debian's nginx serves the MTA-STS policy, one static file, under each domain's policy name."""

from collections.abc import Iterator

from mxfleet.fleet.transport_policy import PATH, policy_hosts, policy_text
from mxfleet.render import tls
from mxfleet.render.base import noting
from mxfleet.render.file import File, Unit
from mxfleet.render.view import View

ROOT = "/usr/local/share/mxfleet/policy"
SETTINGS = "/etc/nginx/nginx.conf"
POLICY = ROOT + PATH
SERVICE = "nginx.service"
SANDBOX = f"/etc/systemd/system/{SERVICE}.d/40-mxfleet.conf"
FIXED = (SANDBOX,)
"""What a running nginx cannot take in."""
CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
)
"""Mozilla's intermediate profile, as on port 25."""


def files(view: View) -> Iterator[File]:
    """None where no domain has a policy."""
    if not policy_hosts(view.fleet):
        return
    certificates = tls.policies(view)
    yield view.file("policyhost", SANDBOX)
    yield noting(view, "policyhost", SERVICE, loaded(view), reloads=True, fixed=FIXED)
    yield File(role="policyhost", path=POLICY, text=policy_text(view.fleet))
    values = {"certificates": certificates, "ciphers": CIPHERS, "policy_path": PATH, "root": ROOT}
    yield view.file("policyhost", SETTINGS, check="nginx -t -q -c {}", late=True, values=values)


def loaded(view: View) -> tuple[str, ...]:
    """What nginx is started with; the policy itself it reads anew for each request."""
    return (*FIXED, SETTINGS, *(path for entry in tls.policies(view) for path in (entry.chain, entry.key)))


def units(view: View) -> tuple[Unit, ...]:
    """A reload takes in settings and certificates, and interrupts nobody; another sandbox needs a restart."""
    return (Unit(role="policyhost", name=SERVICE, loaded=loaded(view), reload=True, fixed=FIXED),)
