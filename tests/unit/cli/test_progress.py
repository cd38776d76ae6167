"""What a long command says: plain lines where nobody watches."""

import io
import itertools

from mxfleet.cli.progress import Lines


def test_each_step_is_one_line_with_the_seconds_since_the_beginning() -> None:
    stream, ticks = io.StringIO(), itertools.count(100.0, 1.25)
    say = Lines(stream, lambda: next(ticks))
    say("booting mx1")
    say("deploying")
    say.end()
    assert stream.getvalue() == "   1.2 s  booting mx1\n   2.5 s  deploying\n"
