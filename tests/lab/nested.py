"""A Debian machine with systemd, as a guest, on which the lab itself runs: the operator's machine that we are not on."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from mxfleet.lab import cgroup, image
from tests.lab.running import ROOT

NAME = "mxnest-operator"
MAIN = "import sys; from mxfleet.cli import main; sys.exit(main(sys.argv[1:]))"
NSPAWN = (
    "systemd-nspawn", "--quiet", "--keep-unit", "--register=no", "--boot", "--private-network",
    "--capability=all", "--kill-signal=SIGRTMIN+3", "--link-journal=no", "--resolv-conf=off", "--timezone=off",
    # Inside, nspawn itself runs: it mounts, and sets up keyrings and BPF.
    "--system-call-filter=@mount @keyring bpf", f"--machine={NAME}", "--hostname=operator",
)  # fmt: skip
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
    "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network",
}


class Operator:
    """The machine while it runs."""

    def __init__(self, group: Path) -> None:
        self._group = group

    def enter(self, *command: str) -> list[str]:
        """The command line that runs a command there as root."""
        init = (self._group / "payload" / "init.scope" / "cgroup.procs").read_text().split()[0]
        target = ["nsenter", "-t", init, "-m", "-u", "-i", "-n", "-p", "-C", "--root", "--wd"]
        settings = [f"PATH={ENVIRONMENT['PATH']}", "HOME=/root", "LANG=C.UTF-8", "PYTHONDONTWRITEBYTECODE=1"]
        return [*target, "env", "-i", *settings, *command]

    def run(self, *command: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run a command there to its end."""
        words = self.enter(*command)
        return subprocess.run(words, capture_output=True, text=True, timeout=timeout, check=False)

    def shell(self, script: str) -> str:
        """What a shell script says there; it must succeed."""
        done = self.run("sh", "-c", script)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The environment's Python."""
        return self.run("/opt/venv/bin/python", *arguments)

    def mxfleet(self, *words: str) -> subprocess.CompletedProcess[str]:
        """`mxfleet …` of this checkout."""
        return self.python("-c", MAIN, *words)


@contextmanager
def operator(work: Path) -> Iterator[Operator]:
    """Boot the machine on a copy of its image's disk under `work`; end it and unmount it afterwards."""
    images = image.ready(["operator", "node", "internet"], image.cache_directory(os.environ), print)
    binds = [*_disk(work, images["operator"]), *_images(images), *_python(work)]
    tree = replace(cgroup.here(), name="mxfleet-nested")
    tree.prepare()
    group = cgroup.group(tree, NAME)
    enter = 'echo 0 > "$0/cgroup.procs" && exec "$@"'
    with (work / "console").open("wb") as console:
        process = subprocess.Popen(
            ["sh", "-c", enter, str(group), *NSPAWN, f"--directory={work}/root", *binds],
            stdin=subprocess.DEVNULL, stdout=console, stderr=console, env=ENVIRONMENT, start_new_session=True,
        )  # fmt: skip
    try:
        machine = Operator(group)
        up = cgroup.wait_until(lambda: "graphical.target" in (work / "console").read_text(), seconds=60)
        assert up, (work / "console").read_text()[-2000:]
        machine.shell(
            "python3 -m venv --without-pip /opt/venv; "
            f"printf '/opt/site\\n{ROOT}/src\\n' > $(echo /opt/venv/lib/python3*/site-packages)/mxfleet.pth"
        )
        yield machine
    finally:
        cgroup.kill(group)
        process.wait()
        tree.remove()
        subprocess.run(["umount", work / "root"], check=True)
        shutil.rmtree(work, ignore_errors=True)


def _disk(work: Path, base: Path) -> list[str]:
    """Its root, and /var/lib on a plain directory: no overlay can be the upper layer of another."""
    for part in ("upper", "work", "root", "lib"):
        (work / part).mkdir()
    options = f"lowerdir={base},upperdir={work}/upper,workdir={work}/work"
    subprocess.run(["mount", "-t", "overlay", "mxnest", "-o", options, work / "root"], check=True)
    (work / "root/etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    subprocess.run(["cp", "-a", f"{base}/var/lib/.", work / "lib"], check=True)
    return [f"--bind={work}/lib:/var/lib"]


def _images(images: dict[str, Path]) -> list[str]:
    return [
        f"--bind-ro={path}:/root/.cache/mxfleet/images/{path.name}"
        for name, path in images.items()
        if name != "operator"
    ]


def _python(work: Path) -> list[str]:
    """This checkout, and its locked dependencies for Debian 13's Python."""
    uv = [str(Path(sys.executable).parent / "uv"), "pip", "install", "--quiet", "--require-hashes"]
    target = ["--target", str(work / "site"), "--python-version", "3.13"]
    subprocess.run([*uv, *target, "-r", str(ROOT / "locks/develop.txt")], check=True)
    return [f"--bind-ro={work}/site:/opt/site", f"--bind-ro={ROOT}"]
