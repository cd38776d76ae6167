"""The keys' part of a node alone, at once: shell that a node runs when a signing key is in other hands.

An ordinary deploy brings a node to the whole inventory, one node after the other, and is refused where something is
missing or unfinished. None of that may stand between a lost key and its end. So this replaces the DKIM tables of the
settings *that lie there* and the key files that they name, asks the node's own release whether it takes them, reloads
the service, and touches nothing else. Where nothing else differs, the node is then as a deploy would have left it.
"""

import re
import shlex
from dataclasses import replace

from mxfleet.fleet.signing import Signing
from mxfleet.render.file import Resolve
from mxfleet.render.keyed import PATHS, TABLES
from mxfleet.render.smtp import CURRENT, DKIM, NOTING, SERVICE, SETTINGS, dkim_file, dkim_path, dkim_tables
from mxfleet.render.view import View

LOCK = "/run/mxfleet/deploy.lock"
"""A deploy holds it for as long as it runs (roles/lock.py)."""
WAIT = 20
"""Seconds for a deploy that is just ending."""

_SCRIPT = r"""set -eu; umask 077; export LC_ALL=C
as_settings() { chmod "$1" "$2"; chown --reference={settings} "$2"; }
put() {
    for place in {directory} "${1%/*}"; do [ -d "$place" ] || { mkdir "$place"; as_settings 0750 "$place"; }; done
    cat >"$1.mxfleet-new"; as_settings 0640 "$1.mxfleet-new"; sync "$1.mxfleet-new"; mv -fT "$1.mxfleet-new" "$1"
}
fail() { echo "mxfleet: $1" >&2; exit 1; }
main() {
    [ -e {settings} ] || fail "nothing was deployed here yet"
    mkdir -p {lock_directory}; exec 9>>{lock}
    flock -w {wait} 9 || fail "held by $(head -n 1 {lock}), who deploys this node"
    echo "dkim compromise since $(date -u '+%Y-%m-%d %H:%M:%S UTC')" >{lock}
{puts}
    { sed '{tables}' {settings} | sed '${/^$/d}'; cat <<'END'; } >{settings}.mxfleet-new
{text}END
    as_settings 0640 {settings}.mxfleet-new; sync {settings}.mxfleet-new
    said=$({current}/venv/bin/mxd check {settings}.mxfleet-new 2>&1) || { rm {settings}.mxfleet-new; fail "$said"; }
    mv -fT {settings}.mxfleet-new {settings}
    if [ -e {noting} ]; then
        sed -E '{paths}; s# {settings}#&{named}#' {noting} >{noting}.mxfleet-new
        chmod 0644 {noting}.mxfleet-new; mv -fT {noting}.mxfleet-new {noting}
        systemctl daemon-reload
    fi
    if systemctl is-active --quiet {service}; then
        systemctl reload {service} 2>/dev/null || systemctl restart {service}
    fi
    for file in {directory}/*/*.pem; do
        case $file in {keep}) ;; *) rm -f -- "$file" ;; esac
    done
}
main </dev/null
"""


def script(view: View, resolve: Resolve) -> str:
    """For standard input of a root shell: it holds the private keys, and is for nobody's eyes.

    What the ledger says is on nodes is on it afterwards, and no other key; fails with one line that says why.
    """
    keys = (*view.signing.dkim, *view.signing.called)
    puts = "".join(
        f"    put {shlex.quote(file.path)} <<'END'\n{file.content(resolve).decode()}END\n"
        for file in map(dkim_file, keys)
    )
    paths = [shlex.quote(dkim_path(key.domain, key.selector)) for key in keys]
    named = "".join(f" {dkim_path(key.domain, key.selector)}" for key in view.signing.dkim)
    values = {
        "settings": SETTINGS, "lock": LOCK, "lock_directory": LOCK.rpartition("/")[0], "wait": str(WAIT), "puts": puts,
        "tables": TABLES, "text": dkim_tables(view), "current": CURRENT, "noting": NOTING, "paths": PATHS, "named": named,
        "service": SERVICE, "directory": DKIM, "keep": "|".join(paths) or "''",
    }  # fmt: skip
    return re.sub(r"\{(\w+)\}", lambda found: values[found[1]], _SCRIPT)


def of_domains(signing: Signing, domains: frozenset[str]) -> Signing:
    """The keys of these domains alone."""
    return replace(
        signing,
        dkim=tuple(key for key in signing.dkim if key.domain in domains),
        called=tuple(key for key in signing.called if key.domain in domains),
    )
