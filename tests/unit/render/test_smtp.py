"""What a running exchange can take in, and what it must be started anew for."""

from dataclasses import replace

from mxfleet.fleet.signing import DkimKey, Signing
from mxfleet.render.desired import Desired, desire
from mxfleet.render.smtp import FIXED

from .samples import fleet_of, inputs_of, resolve, signing_of


def with_selector(selector: str) -> Desired:
    fleet = fleet_of("lab")
    signing: Signing = signing_of(fleet)
    keys: tuple[DkimKey, ...] = tuple(replace(key, selector=selector + key.selector) for key in signing.dkim)
    return desire(fleet, fleet.nodes[0], replace(signing, dkim=keys), inputs_of(fleet), resolve)


def test_another_dkim_key_changes_nothing_that_only_a_restart_takes_in() -> None:
    before, after = (
        {file.path: file.text for file in with_selector(selector).files} for selector in ("r1", "r2")
    )
    assert before.keys() != after.keys()  # each key has a file of its own
    assert [path for path in FIXED if before[path] != after[path]] == []
