"""pyinfra's lines become ours."""

from itertools import count

from mxfleet.cli.narration import Narration

CALM = """--> Starting operation: all nodes have been asked
    [mx1] No changes
--> Starting operation: turn 1, firewall: the rendered rules are in force
    [mx1] Success
    [mx2] No changes
--> Starting operation: turn 1: the exchange is healthy
    [mx1] Success
""".splitlines()
REFUSED = """--> Starting operation: turn 2, firewall: the rendered rules are in force
    [mx2] mxfleet: mx2: the new firewall rules would have cut ssh off — check admin_networks
    [mx2] Error: executed 2 commands
--> pyinfra error: Over 0% of hosts failed (33%)
""".splitlines()


def heard(lines: list[str], code: int) -> tuple[Narration, list[str]]:
    ticks = count()
    narration = Narration("lab", ("mx1", "mx2"), lambda: float(next(ticks)))
    said = [sentence for line in lines for sentence in narration.hear(line)]
    narration.end(code)
    return narration, said


def test_a_change_is_told_without_its_turn_and_with_its_time() -> None:
    narration, said = heard(CALM, 0)
    assert said == ["mx1     firewall: the rendered rules are in force  (1.0 s)"]
    assert narration.summary().startswith("deploy: 1 changes on 2 nodes")
    assert not narration.failed


def test_asking_and_proving_are_not_changes() -> None:
    narration, said = heard(CALM[:2] + CALM[5:], 0)
    assert said == []
    assert narration.summary().startswith("deploy: nothing to change on 2 nodes")


def test_a_failure_names_node_step_and_reason() -> None:
    narration, _ = heard(REFUSED, 1)
    assert str(narration.error()) == (
        "stopped: mx2 at “firewall: the rendered rules are in force”: "
        "mx2: the new firewall rules would have cut ssh off — check admin_networks"
    )


def test_without_a_sentence_of_ours_the_last_words_of_the_node_are_the_reason() -> None:
    lines = [REFUSED[0], "    [mx2] E: Unable to locate package unbound", *REFUSED[2:]]
    narration, _ = heard(lines, 1)
    assert "mx2: E: Unable to locate package unbound" in narration.error().message
    assert "goes on from here" in narration.error().hint


def test_a_run_that_ends_before_its_first_step_still_says_why() -> None:
    narration, _ = heard(
        ["--> pyinfra error in roles/target.py line 4: mxfleet: no ledger — mxfleet dkim init"], 1
    )
    assert str(narration.error()) == "stopped: before the first step: no ledger — mxfleet dkim init"


def test_the_result_as_values_has_every_change_and_the_error() -> None:
    narration, _ = heard(CALM + REFUSED, 1)
    values = narration.as_values()
    assert values["changes"] == [
        {"node": "mx1", "what": "firewall: the rendered rules are in force", "seconds": 1.0}
    ]
    assert values["failed"] == {"mx2": "firewall: the rendered rules are in force"}
    assert "cut ssh off" in str(values["error"])


def test_what_was_known_before_is_in_the_values_too() -> None:
    narration = Narration(
        "lab", ("mx1",), lambda: 0.0, warnings=["corp.test has no active DKIM key any more"]
    )
    assert narration.as_values()["warnings"] == ["corp.test has no active DKIM key any more"]
