"""Two operators on two machines never deploy the same nodes at once; a run that died holds nothing."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mxfleet.render.smtp import DKIM
from roles import lock

from .conftest import Run

Deploy = Callable[..., Run]
ALL = ["mx1", "mx2", "mx3"]
WHO = "bob@elsewhere since 2026-11-24 09:41:07 UTC"


def test_the_locks_of_all_nodes_are_taken_once_in_the_order_of_their_names(deploy: Deploy) -> None:
    run = deploy("-y", serving=ALL, holder="mx1")
    assert run.code == 0, run.output
    assert run.locked == ALL


def test_a_node_that_somebody_deploys_stops_the_run_before_any_question(deploy: Deploy) -> None:
    run = deploy("-y", serving=ALL, holder="mx1", locked={"mx2": lock.HOLDER + WHO})
    assert run.code == 1
    assert (run.sent, run.asked) == ([], [])
    assert run.locked == ["mx1", "mx2"]
    (said,) = [line for line in run.output.splitlines() if "is deploying" in line]
    assert f"mxfleet: mx2: {WHO} is deploying this node; nothing was changed — wait until" in said


def test_a_node_whose_lock_cannot_be_asked_for_stops_the_run_with_its_own_words(deploy: Deploy) -> None:
    run = deploy("-y", serving=ALL, holder="mx1", locked={"mx1": "sudo: a password is required"})
    assert run.code == 1
    assert "mx1: the deploy lock cannot be taken: sudo: a password is required" in run.output


def test_a_key_that_was_lost_before_the_locks_were_taken_is_not_put_back(deploy: Deploy) -> None:
    """What pyinfra shows before it asks for a yes is worked out from an older ledger."""
    lost = "e20261123-19b0c4"
    run = deploy(serving=ALL, holder="mx1", lost=lost)
    assert run.code == 0, run.output
    assert run.nodes_sent(f"{DKIM}/corp.test/r20261123-7f3c9a.pem") == ["mx3", "mx2", "mx1"]
    assert run.nodes_sent(lost) == []


def test_a_dry_run_takes_no_lock(deploy: Deploy) -> None:
    assert deploy("--dry", serving=ALL, holder="mx1").locked == []


def test_an_excluded_node_is_not_locked(deploy: Deploy) -> None:
    run = deploy("-y", "--exclude", "@fake/mx2", serving=ALL, holder="mx1", locked={"mx2": WHO})
    assert run.code == 0, run.output
    assert run.locked == ["mx1", "mx3"]


@contextmanager
def taking(directory: Path, who: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The node's shell for real, with a pipe for the ssh channel; its first line."""
    script = lock.script(who).replace("/run/mxfleet", str(directory))
    with subprocess.Popen(
        ["sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process, process.stdout.readline().strip() if process.stdout else ""
        if process.stdin:
            process.stdin.close()


def test_the_second_is_told_who_holds_the_lock_and_since_when(tmp_path: Path) -> None:
    with taking(tmp_path, "al'ice@here") as (_, first), taking(tmp_path, "bob@there") as (_, second):
        assert first == lock.TAKEN
        assert second.startswith(f"{lock.HOLDER}al'ice@here since 20")
        assert second.endswith(" UTC")


def test_a_lock_whose_connection_has_ended_is_free(tmp_path: Path) -> None:
    with taking(tmp_path, "alice@here") as (process, first):
        assert first == lock.TAKEN
        if process.stdin:
            process.stdin.close()
        process.wait(5)
        with taking(tmp_path, "bob@there") as (_, second):
            assert second == lock.TAKEN


def test_a_lock_whose_holder_was_killed_is_free(tmp_path: Path) -> None:
    with taking(tmp_path, "alice@here") as (process, _):
        process.kill()
        process.wait(5)
        with taking(tmp_path, "bob@there") as (_, second):
            assert second == lock.TAKEN


def test_a_run_that_is_just_ending_is_waited_for(tmp_path: Path) -> None:
    script = lock.script("bob@there").replace("/run/mxfleet", str(tmp_path))
    with (
        taking(tmp_path, "alice@here") as (first, _),
        subprocess.Popen(
            ["sh", "-c", script], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
        ) as second,
    ):
        if first.stdin:
            first.stdin.close()
        assert second.communicate(timeout=5)[0].strip() == lock.TAKEN
