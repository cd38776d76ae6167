"""The log's lines: when they are written, and that none is lost or cut."""

import io
import json
import threading
from collections.abc import Callable

from mxfleet.mxd.observe import Log, Sheet


class File(io.BytesIO):
    """Counts the pieces that it was given."""

    pieces = 0

    def write(self, octets: object, /) -> int:
        self.pieces += 1
        return super().write(octets)  # type: ignore[arg-type]

    def events(self) -> list[str]:
        return [json.loads(line)["event"] for line in self.getvalue().splitlines()]


def made() -> tuple[File, Log, list[Callable[[], None]]]:
    file = File()
    return file, Log(Sheet(file), {}), []


def test_each_line_is_written_at_once_until_somebody_gathers_them() -> None:
    file, log, _ = made()
    log.info("a")
    log.info("b")
    assert (file.pieces, file.events()) == (2, ["a", "b"])


def test_lines_of_one_turn_of_the_loop_leave_in_one_piece() -> None:
    file, log, later = made()
    log.sheet.gather(later.append)
    log.info("a")
    log.bind(domain="x.test").info("b")
    assert file.events() == []
    (leave,) = later
    leave()
    assert (file.pieces, file.events()) == (1, ["a", "b"])
    log.info("c")
    assert len(later) == 2


def test_trouble_is_written_at_once_behind_what_was_said_before() -> None:
    file, log, later = made()
    log.sheet.gather(later.append)
    log.info("a")
    log.error("b")
    assert file.events() == ["a", "b"]
    later[0]()
    assert file.events() == ["a", "b"]


def test_other_threads_wait_for_no_loop() -> None:
    file, log, later = made()
    log.sheet.gather(later.append)
    thread = threading.Thread(target=log.info, args=("a",))
    thread.start()
    thread.join()
    assert (file.events(), later) == (["a"], [])


def test_nothing_is_left_behind_when_the_loop_ends() -> None:
    file, log, later = made()
    log.sheet.gather(later.append)
    log.info("a")
    log.sheet.at_once()
    log.info("b")
    assert file.events() == ["a", "b"]
