"""The keeper: the parent of all guests, so that their ends are reaped where PID 1 does not reap.

It listens on a Unix socket for one JSON line a request: {"group": directory, "arguments": [...],
"environment": {...}, "log": file}, starts that program in that control group and answers {"pid": n}.
It is a subreaper that ignores SIGCHLD: the kernel then reaps every descendant at once. A keeper that was
killed is started anew by the next request; guests go on without one.
"""

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

PR_SET_CHILD_SUBREAPER = 36
ENTER = 'echo 0 > "$1/cgroup.procs" && shift && exec env --default-signal=CHLD "$@"'


def main(arguments: list[str]) -> None:
    """Serve requests on the socket whose path is given, for ever."""
    path = Path(arguments[0])
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    os.chdir("/")
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(f"{path}.new")
        listener.listen()
        Path(f"{path}.new").rename(path)  # whoever finds the socket finds it answering
        while True:
            _answer(listener)


def _answer(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection, connection.makefile("rw", encoding="utf-8") as stream, contextlib.suppress(OSError):
        stream.write(json.dumps(_start(json.loads(stream.readline()))) + "\n")


def _start(request: dict[str, Any]) -> dict[str, Any]:
    try:
        with Path(request["log"]).open("ab") as log:
            started = subprocess.Popen(
                ["sh", "-c", ENTER, "sh", request["group"], *request["arguments"]],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=request["environment"],
                start_new_session=True,
            )
    except OSError as error:
        return {"error": str(error)}
    started.returncode = 0  # the kernel reaps it: nothing here waits for it
    return {"pid": started.pid}


def request(path: Path, wish: dict[str, Any], timeout: float = 5) -> int:
    """Ask the keeper that listens on `path` to start a program; its pid. Raises OSError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout)
        connection.connect(str(path))
        with connection.makefile("rw", encoding="utf-8") as stream:
            stream.write(json.dumps(wish) + "\n")
            stream.flush()
            answer = json.loads(stream.readline())
    if "error" in answer:
        raise OSError(answer["error"])
    return int(answer["pid"])


if __name__ == "__main__":
    main(sys.argv[1:])
