"""Who is changed when, and what happens to the others when one fails."""

from collections.abc import Callable

from .conftest import Run

Deploy = Callable[..., Run]
ALL = ["mx1", "mx2", "mx3"]
RESTART = "systemctl start mxd.service"
HEALTH = "health --wait"


def test_serving_nodes_are_changed_one_at_a_time_the_holder_last(deploy: Deploy) -> None:
    run = deploy("-y", serving=ALL, holder="mx2")
    assert run.code == 0, run.output
    assert run.nodes_sent(RESTART) == ["mx3", "mx1", "mx2"]
    assert run.nodes_sent(HEALTH) == ["mx3", "mx1", "mx2"]


def test_who_judges_content_is_there_before_the_exchange_that_asks(deploy: Deploy) -> None:
    run = deploy("-y", serving=ALL, holder="mx2")
    for node in ALL:
        memory, judge = run.first(node, "restart valkey-server"), run.first(node, "restart rspamd")
        assert memory < judge < run.first(node, RESTART)


def test_rspamd_that_does_not_start_stops_the_run_before_the_exchange_is_touched(deploy: Deploy) -> None:
    run = deploy("-y", serving=ALL, holder="mx1", fails={"mx3": "restart rspamd"})
    assert run.code == 1
    assert run.nodes_sent(RESTART) == []


def test_a_node_is_proved_healthy_before_the_next_is_touched(deploy: Deploy) -> None:
    run = deploy("-y", serving=ALL, holder="mx1")
    activating = "cp --preserve=mode,ownership -- /run/mxfleet/stage"
    for done, following in (("mx3", "mx2"), ("mx2", "mx1")):
        assert run.last(done, HEALTH) < run.first(following, activating)


def test_what_is_installed_beforehand_is_inert_and_goes_to_all_nodes_first(deploy: Deploy) -> None:
    run = deploy("-y", serving=ALL, holder="mx1")
    first_turn = run.first("mx3", "cp --preserve=mode,ownership -- /run/mxfleet/stage")
    early = [command for _, command in run.sent[:first_turn]]
    assert sum("tar -x -z" in command for command in early) == 3
    assert sum("base64 -d | tar" in command for command in early) == 3
    assert not [command for command in early if "systemctl" in command]


def test_a_fleet_in_which_nobody_serves_is_deployed_at_once(deploy: Deploy) -> None:
    run = deploy("-y")
    assert run.code == 0, run.output
    assert max(run.first(node, RESTART) for node in ALL) < min(run.first(node, HEALTH) for node in ALL)
    assert max(run.first(node, "nft -c") for node in ALL) < min(run.first(node, RESTART) for node in ALL)


def test_after_a_failure_no_later_node_loads_anything(deploy: Deploy) -> None:
    run = deploy("-y", serving=ALL, holder="mx1", fails={"mx2": RESTART})
    assert run.code == 1
    assert run.nodes_sent(RESTART) == ["mx3", "mx2"]
    assert not [command for node, command in run.sent if node == "mx1" and "systemctl" in command]
    assert run.nodes_sent(HEALTH) == ["mx3"]


def test_a_node_that_does_not_become_healthy_stops_the_run(deploy: Deploy) -> None:
    run = deploy("-y", serving=ALL, holder="mx1", fails={"mx3": HEALTH})
    assert run.code == 1
    assert run.nodes_sent(RESTART) == ["mx3"]


def test_a_node_that_still_differs_when_all_was_done_stops_the_run(deploy: Deploy) -> None:
    run = deploy("-y", serving=ALL, holder="mx1", stuck=["mx3"])
    assert run.code == 1
    assert "mx3: still not as it shall be" in run.output
    assert run.nodes_sent(RESTART) == ["mx3"]


def test_even_a_bare_node_is_asked_only_four_times(deploy: Deploy) -> None:
    """When the run begins, when packages were installed, when its turn begins, and when its turn ends."""
    run = deploy("-y", serving=ALL, holder="mx1")
    assert sorted(run.asked) == sorted(4 * ALL)


def test_a_file_that_its_reader_refuses_on_one_node_changes_nothing_anywhere(deploy: Deploy) -> None:
    run = deploy("-y", serving=ALL, holder="mx1", fails={"mx1": "nft -c"})
    assert run.code == 1
    assert run.nodes_sent("cp --preserve=mode,ownership -- /run/mxfleet/stage") == []


def test_an_address_that_moves_during_the_run_stops_it(deploy: Deploy) -> None:
    run = deploy("-y", serving=ALL, holder="mx1", moves_to="mx2")
    assert run.code == 1
    assert "the service address moved during the run" in run.output
    assert "mx2" not in run.nodes_sent(RESTART)


def test_two_holders_stop_the_run_before_anything_is_changed(deploy: Deploy) -> None:
    run = deploy("-y", serving=ALL, holder=["mx1", "mx3"])
    assert run.code == 1
    assert run.sent == []
    assert "mx1 and mx3 both hold the service address" in run.output


def test_an_excluded_node_is_neither_asked_nor_changed(deploy: Deploy) -> None:
    run = deploy("-y", "--exclude", "@fake/mx2", serving=ALL, holder="mx1")
    assert run.code == 0, run.output
    assert run.nodes_sent(RESTART) == ["mx3", "mx1"]
    assert "mx2" not in run.asked


def test_a_fleet_that_is_as_it_shall_be_is_asked_once_and_sent_nothing(deploy: Deploy) -> None:
    run = deploy("-y", serving=ALL, converged=ALL, holder="mx1")
    assert run.code == 0, run.output
    assert run.sent == []
    assert sorted(run.asked) == ALL


def test_a_fleet_of_one_node_without_a_service_address_is_deployed_too(deploy: Deploy) -> None:
    for serving in ([], ["mx1"]):
        run = deploy("-y", fleet="single", serving=serving)
        assert run.code == 0, run.output
        assert run.nodes_sent(RESTART) == ["mx1"]
        assert not [command for _, command in run.sent if "keepalived" in command]


def test_a_dry_run_asks_and_sends_nothing(deploy: Deploy) -> None:
    run = deploy("--dry", serving=ALL, holder="mx1")
    assert run.code == 0, run.output
    assert run.sent == []


def test_no_secret_is_shown_however_loud_pyinfra_is(deploy: Deploy) -> None:
    run = deploy("-y", "-vvv", "--diff", serving=ALL, holder="mx1")
    assert "<dkim/" not in run.output
    assert "<accounts/" not in run.output
    assert not [command for _, command in run.sent if "<dkim/" in command or "<accounts/" in command]
