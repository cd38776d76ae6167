"""From the fleet to the files of a node: pure, the same text for deploy, drift, golden tests and testinfra."""

from mxfleet.fleet.model import Fleet, Node
from mxfleet.fleet.signing import Signing
from mxfleet.render import antispam, backup, base, failover, firewall, policyhost, resolver, smtp, tls
from mxfleet.render.file import Directory, File, directories
from mxfleet.render.inputs import Inputs
from mxfleet.render.view import View

__all__ = ["Directory", "File", "Inputs", "directories", "render", "view_of"]


def render(fleet: Fleet, node: Node, signing: Signing, inputs: Inputs) -> tuple[File, ...]:
    """Every file that mxfleet keeps on the node, in the order in which roles place them.

    Secrets are marks in the text (`File.secrets`); raises RenderError where fleet, ledger and templates do
    not fit together.
    """
    view = view_of(fleet, node, signing, inputs)
    return (
        *base.files(view),
        *base.access_files(view),
        firewall.rules(view),
        *firewall.files(view),
        *resolver.files(view),
        *resolver.client_files(view),
        *antispam.files(view),
        *tls.files(view),
        *policyhost.files(view),
        *smtp.files(view),
        *failover.files(view),
        *backup.files(view),
    )


def view_of(fleet: Fleet, node: Node, signing: Signing, inputs: Inputs) -> View:
    """What the templates of that node see."""
    return View(fleet=fleet, node=node, signing=signing, release=inputs.release, texts=inputs.texts)
