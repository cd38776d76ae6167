"""The service that runs is the one of this checkout, with the settings that are on the disk."""

from mxfleet.doctor.inside import Inside
from mxfleet.fleet import Node
from mxfleet.render.desired import Desired


def test_the_current_release_is_the_one_of_this_checkout(node: Node, seen: Inside, release: str) -> None:
    assert (node.name, seen.release) == (node.name, release)


def test_the_process_runs_what_is_on_the_disk(node: Node, seen: Inside) -> None:
    assert (node.name, bool(seen.running_digest)) == (node.name, True)
    assert (node.name, seen.running_digest) == (node.name, seen.expected_digest)


def test_every_unit_has_loaded_the_files_that_are_on_the_disk(
    node: Node, seen: Inside, desired: dict[str, Desired]
) -> None:
    one = desired[node.name]
    wanted = {f"{node.name}: {unit.name}": one.note(unit) for unit in one.units if unit.loaded}
    assert wanted
    assert {name: seen.notes.get(name.partition(": ")[2]) for name in wanted} == wanted
