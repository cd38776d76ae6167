"""The ledger on disk: appended, chained, locked, and honest about damage."""

import hashlib
import multiprocessing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from mxfleet.errors import StateError, StateMissing
from mxfleet.keys.facts import Minted, Moved, Opened
from mxfleet.keys.ledger import LEDGER, parse, read, read_signing, read_state, writing
from mxfleet.keys.lifecycle import KeyState, Material

START = datetime(2026, 11, 24, 8, tzinfo=UTC)
RSA = Minted(
    material=Material.DKIM, owner="corp.test", label="r1", algorithm="rsa", public="AAAA", spki="00" * 32
)


def clock() -> datetime:
    return START


def move(state: KeyState) -> Moved:
    return Moved(key="dkim/corp.test/r1", state=state)


def write(directory: Path, *facts: Minted | Moved) -> None:
    with writing(directory, clock, "test", "lab") as writer:
        writer.append(*facts)


def test_a_new_ledger_begins_with_whose_it_is(tmp_path: Path) -> None:
    write(tmp_path)
    [entry] = read(tmp_path).entries
    assert entry.what == Opened(fleet="lab")
    assert (entry.number, entry.by, entry.at) == (1, "test", START)


def test_each_line_has_the_hash_of_the_one_before(tmp_path: Path) -> None:
    write(tmp_path, RSA, move(KeyState.PUBLISHED))
    lines = (tmp_path / LEDGER).read_bytes().splitlines()
    previous = [msgspec.json.decode(line)["previous"] for line in lines]
    assert previous == ["0" * 64, *(hashlib.sha256(line).hexdigest() for line in lines[:-1])]


def test_what_was_written_is_read_back_as_a_view(tmp_path: Path) -> None:
    write(tmp_path, RSA)
    write(tmp_path, move(KeyState.PUBLISHED), move(KeyState.VISIBLE))
    [key] = read_state(tmp_path).dkim("corp.test")
    assert (key.label, key.state, key.since) == ("r1", KeyState.VISIBLE, START)
    assert read_signing(tmp_path).dkim == ()
    write(tmp_path, move(KeyState.ACTIVE))
    [active] = read_signing(tmp_path).dkim
    assert (active.domain, active.selector, active.secret.name) == ("corp.test", "r1", "dkim/corp.test/r1")


def test_a_fact_that_cannot_follow_writes_nothing_of_its_batch(tmp_path: Path) -> None:
    write(tmp_path, RSA)
    before = (tmp_path / LEDGER).read_bytes()
    with writing(tmp_path, clock, "test", "lab") as writer:
        with pytest.raises(StateError, match=r"key dkim/corp\.test/r1 cannot go from published to active"):
            writer.append(move(KeyState.PUBLISHED), move(KeyState.ACTIVE))
        assert (tmp_path / LEDGER).read_bytes() == before
        assert writer.state.keys[0].state is KeyState.MINTED
        writer.append(move(KeyState.PUBLISHED))  # the writer goes on as if nothing had been
    assert read_state(tmp_path).keys[0].state is KeyState.PUBLISHED


def test_no_ledger_names_the_command_that_makes_one(tmp_path: Path) -> None:
    with pytest.raises(StateMissing) as caught:
        read_signing(tmp_path / "state")
    assert str(caught.value) == f"no ledger in {tmp_path / 'state'} — mxfleet dkim init"


@pytest.mark.parametrize("kept", [1, 40, -1])
def test_a_last_line_that_was_never_finished_is_passed_over_and_cut_off(tmp_path: Path, kept: int) -> None:
    write(tmp_path, RSA)
    whole = (tmp_path / LEDGER).read_bytes()
    write(tmp_path, move(KeyState.PUBLISHED))
    last = (tmp_path / LEDGER).read_bytes()[len(whole) :]
    (tmp_path / LEDGER).write_bytes(whole + last[:kept])
    assert read_state(tmp_path).keys[0].state is KeyState.MINTED
    write(tmp_path, move(KeyState.PUBLISHED))
    assert (tmp_path / LEDGER).read_bytes() == whole + last


def test_even_a_torn_first_line_can_be_begun_anew(tmp_path: Path) -> None:
    (tmp_path / LEDGER).write_bytes(b'{"number":1,"prev')
    write(tmp_path, RSA)
    assert read_state(tmp_path).fleet == "lab"


def test_a_damaged_line_stops_everything_and_is_named(tmp_path: Path) -> None:
    write(tmp_path, RSA, move(KeyState.PUBLISHED))
    lines = (tmp_path / LEDGER).read_bytes().splitlines(keepends=True)
    lines[1] = lines[1].replace(b'"corp.test"', b'"evil.test"')
    (tmp_path / LEDGER).write_bytes(b"".join(lines))
    with pytest.raises(
        StateError, match=r"line 3 does not follow the line before it — restore it from version"
    ):
        read(tmp_path)
    with pytest.raises(StateError, match="line 3 does not follow"):
        write(tmp_path, move(KeyState.VISIBLE))


def test_a_line_that_is_no_entry_is_named(tmp_path: Path) -> None:
    write(tmp_path)
    with (tmp_path / LEDGER).open("ab") as file:
        file.write(b'{"number":2}\n')
    with pytest.raises(StateError, match=r"ledger\.jsonl line 2 is damaged: Object missing required field"):
        read(tmp_path)


def test_a_line_in_the_middle_cannot_be_taken_out(tmp_path: Path) -> None:
    write(tmp_path, RSA, move(KeyState.PUBLISHED))
    lines = (tmp_path / LEDGER).read_bytes().splitlines(keepends=True)
    with pytest.raises(StateError, match="line 2 does not follow"):
        parse(lines[0] + lines[2])


def test_another_fleets_ledger_is_refused(tmp_path: Path) -> None:
    write(tmp_path)
    with (
        pytest.raises(StateError, match="is the ledger of fleet 'lab', not of 'production'"),
        writing(tmp_path, clock, "test", "production"),
    ):
        pass


def test_a_clock_that_went_back_is_refused(tmp_path: Path) -> None:
    write(tmp_path)
    with (
        writing(tmp_path, lambda: START - timedelta(hours=1), "test", "lab") as writer,
        pytest.raises(
            StateError, match=r"the clock says 2026-11-24 07:00:00 UTC, but the ledger's last line"
        ),
    ):
        writer.append(RSA)
    with writing(tmp_path, lambda: START - timedelta(seconds=2), "test", "lab") as writer:
        writer.append(RSA)  # slewed a little: counted as no time at all
    assert read(tmp_path).entries[-1].at == START


def test_a_ledger_changed_in_between_is_noticed(tmp_path: Path) -> None:
    write(tmp_path, RSA)
    with writing(tmp_path, clock, "test", "lab") as writer:
        lines = (tmp_path / LEDGER).read_bytes().splitlines(keepends=True)
        (tmp_path / LEDGER).write_bytes(lines[0])  # as a checkout of an older commit does
        with pytest.raises(
            StateError, match="was changed by something else meanwhile — run the command again"
        ):
            writer.append(move(KeyState.PUBLISHED))
        (tmp_path / LEDGER).write_bytes(lines[0] + lines[1].replace(b"AAAA", b"BBBB"))  # same length
        with pytest.raises(StateError, match="was changed by something else meanwhile"):
            writer.append(move(KeyState.PUBLISHED))


def hold(
    directory: Path, held: "multiprocessing.synchronize.Event", done: "multiprocessing.synchronize.Event"
) -> None:
    with writing(directory, clock, "mxfleet dns apply", "lab"):
        held.set()
        done.wait(10)


def test_a_second_writer_is_told_who_holds_the_lock(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    held, done = context.Event(), context.Event()
    process = context.Process(target=hold, args=(tmp_path, held, done))
    process.start()
    try:
        assert held.wait(20)
        with pytest.raises(
            StateError, match=rf"another command writes this ledger: mxfleet dns apply \(pid {process.pid}\)"
        ):
            write(tmp_path)
    finally:
        done.set()
        process.join()
    write(tmp_path)  # the lock goes with its holder


def test_a_full_disk_is_a_sentence_and_the_ledger_is_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, RSA)
    before = read(tmp_path)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with writing(tmp_path, clock, "test", "lab") as writer:
        monkeypatch.setattr("mxfleet.keys.ledger.os.fsync", full)
        with pytest.raises(StateError, match="cannot be written: No space left on device"):
            writer.append(move(KeyState.PUBLISHED))
        assert writer.state.keys[0].state is KeyState.MINTED
        monkeypatch.undo()
        writer.append(move(KeyState.PUBLISHED))  # once there is space again
    assert read(tmp_path).entries[:-1] == before.entries


def test_a_directory_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file in the way")
    with pytest.raises(StateError, match=r"ledger\.lock: cannot be written: "):
        write(tmp_path / "state")
