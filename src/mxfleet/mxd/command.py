"""`mxd`: the service and what an operator asks of it on the node; exit 0 done, 1 error."""

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from mxfleet.errors import MxfleetError, ServiceError
from mxfleet.mxd import asking, probe_command, queue_command, settings
from mxfleet.mxd.digest import digest
from mxfleet.mxd.settings import Settings

SETTINGS: Final = Path("/etc/mxfleet/mxd.toml")
RELOAD_SECONDS: Final = 15.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a verb; its exit code."""
    parsed = _parser().parse_args(arguments)
    verb: Callable[[argparse.Namespace], int] = parsed.verb
    try:
        return verb(parsed)
    except MxfleetError as error:
        for line in str(error).splitlines():
            sys.stderr.write(f"mxd: {line}\n")
        return 1
    except BrokenPipeError:  # `mxd queue list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0


def serve(arguments: argparse.Namespace) -> int:
    """Serve until SIGTERM."""
    from mxfleet.mxd import listener, process
    from mxfleet.mxd.configuration import load
    from mxfleet.mxd.spool.sqlite import prepare
    from mxfleet.mxd.supervisor import Supervisor

    configuration = load(arguments.settings)
    sockets = listener.inherited(os.environ, os.getpid())
    if arguments.listen:
        sockets = listener.opened(_places(arguments.listen))
    if not sockets:
        raise ServiceError(
            "nothing to listen on", hint="systemctl start mxd, or --listen smtp=127.0.0.1:2525"
        )
    os.umask(0o077)
    prepare(Path(configuration.settings.paths.spool))
    return Supervisor(arguments.settings, configuration, sockets, os.environ, process.main).run()


def reload(arguments: argparse.Namespace) -> int:
    """Have the running service take in new certificates and DKIM keys, without touching a session."""
    from mxfleet.mxd.configuration import read_files

    files, problems = read_files(arguments.settings)
    if problems:
        raise ServiceError("\n".join(problems))
    note = Path(_settings(arguments).paths.runtime) / "digest"
    wanted, asked = digest(files), note.stat().st_mtime_ns
    os.kill(arguments.pid, signal.SIGHUP)
    until = time.monotonic() + RELOAD_SECONDS
    while note.stat().st_mtime_ns == asked and time.monotonic() < until:
        time.sleep(0.02)
    if note.read_text().strip() != wanted:
        raise ServiceError(
            "the running service cannot take in what is on the disk: more than certificates and DKIM keys "
            "differs, or it did not answer (its log says which)",
            hint="systemctl restart mxd",
        )
    return 0


def check(arguments: argparse.Namespace) -> int:
    """Whether a settings file and all that it names can be served with; one line for each thing that cannot."""
    from mxfleet.mxd.configuration import read_files

    _, problems = read_files(arguments.file)
    for problem in problems:
        sys.stderr.write(f"mxd: {problem}\n")
    return 1 if problems else 0


def print_digest(arguments: argparse.Namespace) -> int:
    """The digest that a process started now would have."""
    from mxfleet.mxd.configuration import read_files

    files, problems = read_files(arguments.settings)
    for problem in problems:
        sys.stderr.write(f"mxd: {problem}\n")
    if not problems:
        sys.stdout.write(digest(files) + "\n")
    return 1 if problems else 0


def signing(arguments: argparse.Namespace) -> int:
    """Which keys the service uses, or would after a restart, and which lie on this host, as JSON.

    DKIM keys under `signing` and `installed`, certificates under `serving` and `certificates`.
    """
    from mxfleet.mxd.key_report import installed_certificates, installed_keys, named_keys

    parsed = _settings(arguments)
    loaded = asking.ask(Path(parsed.paths.runtime), {"verb": "signing"})
    signing = named_keys(parsed.dkim)  # what a restart would load counts as well as what is loaded
    signing += [key for key in msgspec.convert(loaded or [], list[dict[str, str]]) if key not in signing]
    clock = datetime.now(UTC).isoformat(timespec="seconds")
    installed = installed_keys(arguments.settings.parent / "dkim")
    serving = asking.ask(Path(parsed.paths.runtime), {"verb": "certificates"})
    report = {"clock": clock, "running": loaded is not None, "signing": signing, "installed": installed}
    certificates = installed_certificates(arguments.settings.parent / "tls")
    _say({**report, "serving": serving or [], "certificates": certificates})
    return 0


def health(arguments: argparse.Namespace) -> int:
    """Whether the service runs and its spool takes a commit, perhaps only after a while."""
    runtime = Path(_settings(arguments).paths.runtime)
    until = time.monotonic() + arguments.wait
    while True:
        report = asking.ask(runtime, {"verb": "health"})
        if isinstance(report, dict) and report.get("commits") is True:
            _say(report)
            return 0
        if time.monotonic() >= until:
            break
        time.sleep(0.1)
    if report is None:
        raise ServiceError(f"nobody answers on {runtime}/admin.sock", hint="systemctl status mxd")
    _say(report)
    return 1


def _say(value: object) -> None:
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")


def _settings(arguments: argparse.Namespace) -> Settings:
    return settings.read(arguments.settings)


def _places(texts: Sequence[str]) -> dict[str, list[tuple[str, int]]]:
    from mxfleet.mxd.listener import SERVICES

    places: dict[str, list[tuple[str, int]]] = {}
    for text in texts:
        name, _, place = text.partition("=")
        host, _, port = place.rpartition(":")
        if name not in SERVICES or not host or not port.isdigit():
            raise ServiceError(f"--listen {text}: write SERVICE=ADDRESS:PORT", hint=" ".join(SERVICES))
        places.setdefault(name, []).append((host.strip("[]"), int(port)))
    return places


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mxd", description="The SMTP exchange of mxfleet.")
    parser.add_argument("--settings", type=Path, default=SETTINGS, help=f"default: {SETTINGS}")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    verb = verbs.add_parser("serve", help="serve until SIGTERM, on the sockets that systemd hands over")
    verb.add_argument("--listen", action="append", metavar="SERVICE=ADDRESS:PORT", help="for tests")
    verb.set_defaults(verb=serve)
    verb = verbs.add_parser("check", help="validate a settings file and the files it names")
    verb.add_argument("file", type=Path)
    verb.set_defaults(verb=check)
    verb = verbs.add_parser("health", help="does it serve, and does its spool take a commit?")
    verb.add_argument("--wait", type=float, default=0.0, metavar="SECONDS")
    verb.set_defaults(verb=health)
    verb = verbs.add_parser("reload", help="have the service take in new certificates and DKIM keys")
    verb.add_argument("--pid", type=int, required=True, help="its main process (systemd's MAINPID)")
    verb.set_defaults(verb=reload)
    verb = verbs.add_parser(
        "signing", help="which keys and certificates it has loaded and which lie here, as JSON"
    )
    verb.set_defaults(verb=signing)
    verb = verbs.add_parser("digest", help="the digest that a process started now would have")
    verb.set_defaults(verb=print_digest)
    probe_command.add(verbs.add_parser("probe", help="what a mail host looks like from here, as JSON"))
    queue_command.add(verbs.add_parser("queue", help="what waits, and what is to become of it"))
    return parser
