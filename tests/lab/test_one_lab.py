"""One lab a machine: whose it is, and that bringing it up again mends it."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from mxfleet.errors import LabError
from mxfleet.lab import cgroup, guests, image, lifecycle, state
from tests.lab.running import INVENTORY, ROOT, Lab


def boot(lab: Lab, owner: Path, said: list[str]) -> None:
    lifecycle.boot(
        lab.fleet,
        said.append,
        owner=owner,
        inventory=lab.record.inventory,
        cache=image.cache_directory(os.environ),
        take_over=False,
    )


def test_another_clone_is_told_whose_lab_it_is(lab: Lab) -> None:
    with pytest.raises(LabError) as caught:
        boot(lab, Path("/another/clone"), [])
    assert f"a lab of {ROOT} (fleet lab) is up on this machine" in str(caught.value)
    assert "--take-over" in str(caught.value)
    with pytest.raises(LabError, match=f"that of {ROOT}"):
        lifecycle.down(Path("/another/clone"), lambda _: None)
    assert state.require().complete


def test_another_inventory_of_this_clone_does_not_replace_the_lab_silently(lab: Lab) -> None:
    other = Lab()
    other.fleet = replace(lab.fleet, name="other")
    with pytest.raises(LabError, match="this clone's lab is up for another fleet, lab"):
        boot(other, ROOT, [])


def test_a_lab_that_is_whole_is_left_as_it_is(lab: Lab) -> None:
    before = {name: guests.init_pid(name) for name in lab.record.facts["guests"]}
    said: list[str] = []
    boot(lab, ROOT, said)
    assert said == ["all guests run already"]
    assert {name: guests.init_pid(name) for name in before} == before


def test_a_guest_that_crashed_is_booted_again_from_its_disk(lab: Lab) -> None:
    node = lab.roll_order()[0]
    lab.inside(node, "touch /var/lib/lab-test")
    os.kill(guests.init_pid(node), signal.SIGKILL)
    assert cgroup.wait_until(lambda: not guests.runs(node), seconds=20)
    said: list[str] = []
    boot(lab, ROOT, said)
    assert said == [f"booting {node}"]
    lab.inside(node, "rm /var/lib/lab-test")
    lab.healthy(node)


def test_the_record_names_the_inventory(lab: Lab) -> None:
    assert Path(lab.record.inventory).resolve() == INVENTORY
