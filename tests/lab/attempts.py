"""Runs inside a node, in a service's sandbox or without one: tries what a service that was taken over would try.

Prints JSON: attempt → "" where it succeeded, else why not. Each runs in a process of its own and undoes what it did.
"""

import contextlib
import ctypes
import json
import mmap
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

LIBC = ctypes.CDLL(None, use_errno=True)
LISTED = ctypes.create_string_buffer(4096)
# x86-64's and arm64's numbers, where libc has no name for the call.
NUMBERS = {
    "io_uring_setup": (425, 425),
    "userfaultfd": (323, 282),
    "bpf": (321, 280),
    "kexec_load": (246, 104),
}
NUMBERS |= {"add_key": (248, 217), "perf_event_open": (298, 241), "init_module": (175, 105)}
OWN = ("/var/lib/mxd", "/run/mxd", "/tmp", "/var/tmp", "/dev/shm")
NOT_OWN = (
    "/",
    "/boot",
    "/dev",
    "/etc",
    "/home",
    "/opt/mxfleet",
    "/root",
    "/run",
    "/run/lock",
    "/srv",
    "/usr",
    "/var",
    "/var/lib",
)
FORKS = 700


def call(name: str, *arguments: object) -> None:
    """A function of libc that says -1 where it was refused."""
    if getattr(LIBC, name)(*arguments) == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def syscall(name: str, *arguments: object) -> None:
    """A system call by its number; ENOSYS would say nothing, so it is an error of ours."""
    call("syscall", NUMBERS[name][os.uname().machine == "aarch64"], *arguments)


def write(place: str) -> None:
    """A new file in a directory."""
    file = Path(place, f"attempt-{os.getpid()}")
    file.write_bytes(b"x")
    file.unlink()


def writable() -> None:
    """A place that only file permissions protect."""
    if not [place for place in NOT_OWN if not os.statvfs(place).f_flag & os.ST_RDONLY]:
        raise PermissionError("each is mounted read-only")


def add(file: str) -> None:
    """Open somebody's file to add to it; nothing is written."""
    os.close(os.open(file, os.O_WRONLY | os.O_APPEND))


def read(file: str) -> None:
    assert Path(file).read_bytes() != b""


def read_keys() -> None:
    keys = list(Path("/etc/mxfleet").glob("tls/*/key.pem"))
    assert keys
    for key in keys:
        read(str(key))


def copied(place: str, program: str = "/usr/bin/true") -> Path:
    file = Path(place, f"attempt-{os.getpid()}")
    shutil.copyfile(program, file)
    file.chmod(0o755)
    return file


def execute(place: str) -> None:
    """Run a program that the service wrote itself."""
    file = copied(place)
    try:
        subprocess.run([str(file)], check=True)
    finally:
        file.unlink()


def load(place: str) -> None:
    """Load a library that the service wrote itself."""
    file = copied(place, next(str(path) for path in Path("/usr/lib").glob("*-linux-gnu/libm.so.6")))
    try:
        ctypes.CDLL(str(file))
    finally:
        file.unlink()


def execute_memory() -> None:
    """Run a program that is on no file system."""
    descriptor = os.memfd_create("attempt")
    os.write(descriptor, Path("/usr/bin/true").read_bytes())
    subprocess.run([f"/proc/self/fd/{descriptor}"], check=True, pass_fds=[descriptor])


def set_user_id() -> None:
    file = copied(OWN[0])
    try:
        file.chmod(0o4755)
    finally:
        file.unlink()


def control_group() -> None:
    made = Path("/sys/fs/cgroup/attempt")
    made.mkdir()
    made.rmdir()


def become_root() -> None:
    if os.getuid() == 0:
        os.setresuid(1, 1, 0)
    os.setuid(0)


def device() -> None:
    file = Path(OWN[0], f"attempt-{os.getpid()}")
    os.mknod(file, 0o600 | 0o020000, os.makedev(1, 3))
    file.unlink()


def writable_code() -> None:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()


def written_code() -> None:
    """Write first, make it a program then."""
    area = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    octet = ctypes.c_char.from_buffer(area)
    call("mprotect", ctypes.c_void_p(ctypes.addressof(octet)), 4096, 5)


def sudo() -> None:
    done = subprocess.run(["/usr/bin/sudo", "-n", "true"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise PermissionError(done.stderr.strip())


def hostname() -> None:
    socket.sethostname(socket.gethostname())


def mount() -> None:
    call("mount", b"tmpfs", b"/tmp", b"tmpfs", 0, None)
    call("umount2", b"/tmp", 2)


def bind_mount() -> None:
    call("mount", b"/etc", b"/tmp", None, 4096, None)
    call("umount2", b"/tmp", 2)


def enter() -> None:
    """Another process's namespace: even one's own takes the right to."""
    with Path("/proc/self/ns/net").open() as file:
        call("setns", file.fileno(), 0)


def memory_of_another() -> None:
    """process_vm_readv(2), of this very process."""

    class Span(ctypes.Structure):
        _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))

    here = Span(ctypes.addressof(LISTED), 16)
    call("process_vm_readv", os.getpid(), ctypes.byref(here), 1, ctypes.byref(here), 1, 0)


def low_port(family: socket.AddressFamily) -> None:
    with socket.socket(family) as listener:
        listener.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 26))


def open_socket(family: int, kind: int, protocol: int = 0) -> None:
    socket.socket(family, kind, protocol).close()


def reach(address: str) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.connect(address)


def connect(host: str, port: int) -> None:
    socket.create_connection((host, port), 5).close()


def scheduled_first() -> None:
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))


def set_clock() -> None:
    time.clock_settime(time.CLOCK_REALTIME, time.clock_gettime(time.CLOCK_REALTIME))


def multiply() -> None:
    """Processes without end: more than any host has a use for."""
    children: list[int] = []
    try:
        for _ in range(FORKS):
            pid = os.fork()
            if pid == 0:
                signal.pause()
                os._exit(0)
            children.append(pid)
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


FORBIDDEN: dict[str, Callable[[], object]] = {
    "a place that only permissions protect": writable,
    **{
        f"write in {place}": partial(write, place)
        for place in (
            "/", "/etc", "/etc/mxfleet", "/etc/mxfleet/tls", "/etc/systemd/system", "/usr/bin", "/usr/local/bin",
            "/opt/mxfleet", "/opt/mxfleet/current/venv/bin", "/home", "/home/ops", "/root", "/srv", "/var/lib",
            "/var/log", "/var/spool", "/var/lib/unbound", "/run", "/run/systemd/system", "/run/mxfleet", "/dev",
        )
    },
    **{
        f"add to {file}": partial(add, file)
        for file in ("/etc/mxfleet/mxd.toml", "/etc/passwd", "/etc/resolv.conf", "/etc/nftables.conf")
    },
    **{
        f"read {file}": partial(read, file)
        for file in (
            "/etc/shadow", "/etc/sudoers", "/etc/ssh/ssh_host_ed25519_key", "/etc/mxfleet/backup-password",
            "/home/ops/.ssh/authorized_keys", "/proc/1/cmdline", "/proc/1/environ",
            "/proc/net/route", "/proc/sys/kernel/version",
        )
    },
    **{f"run a program from {place}": partial(execute, place) for place in OWN},
    **{f"load a library from {place}": partial(load, place) for place in OWN},
    "run a program from memory": execute_memory,
    "code pages that can be written": writable_code,
    "written pages made code": written_code,
    "change a kernel tunable": lambda: add("/proc/sys/net/ipv4/tcp_syncookies"),
    "a control group": control_group,
    "a set-user-id program": set_user_id,
    "a device": device,
    "sudo": sudo,
    "become root": become_root,
    "become somebody else": lambda: os.setuid(65534),
    "join another group": lambda: os.setgid(4),
    "leave the groups": lambda: os.setgroups([]),
    "another root directory": lambda: os.chroot("/usr"),
    "mount": mount,
    "mount by bind": bind_mount,
    **{
        f"a new {name} namespace": partial(call, "unshare", flag)
        for name, flag in {
            "user": 0x10000000, "mount": 0x20000, "network": 0x40000000, "process": 0x20000000, "host name": 0x4000000,
            "ipc": 0x8000000, "control group": 0x2000000,
        }.items()
    },
    "enter a namespace": enter,
    "trace a process": lambda: call("ptrace", 0, 0, 0, 0),
    "read another process's memory": memory_of_another,
    "signal to another's process": lambda: os.kill(1, 0),
    "io_uring": lambda: syscall("io_uring_setup", 1, LISTED),
    "userfaultfd": lambda: syscall("userfaultfd", 0),
    "bpf": lambda: syscall("bpf", 0, b"\2\0\0\0\4\0\0\0\4\0\0\0\1" + bytes(115), 128),
    "performance counters": lambda: syscall("perf_event_open", b"\1\0\0\0\x70\0\0\0" + bytes(112), 0, -1, -1, 0),
    "the kernel's keyring": lambda: syscall("add_key", b"user", b"attempt", b"x", 1, -3),
    "another personality": lambda: call("personality", 8),
    "another host name": hostname,
    "be scheduled first": scheduled_first,
    "a better nice value": lambda: os.setpriority(os.PRIO_PROCESS, 0, -5),
    "processes without end": multiply,
    "a low port, v4": lambda: low_port(socket.AF_INET),
    "a low port, v6": lambda: low_port(socket.AF_INET6),
    "a packet socket": lambda: open_socket(socket.AF_PACKET, socket.SOCK_RAW),
    "a netlink socket": lambda: open_socket(socket.AF_NETLINK, socket.SOCK_RAW),
    "a raw socket, v4": lambda: open_socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
    "a raw socket, v6": lambda: open_socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6),
    "the message bus": lambda: reach("/run/dbus/system_bus_socket"),
    "the resolver's control socket": lambda: reach("/run/unbound.ctl"),
    "set the clock": set_clock,
    "load a module": lambda: syscall("init_module", b"", 0, b""),
    "another kernel": lambda: syscall("kexec_load", 0, 0, None, 0),
    "the kernel's log": lambda: call("klogctl", 3, LISTED, 4096),
}  # fmt: skip
NEEDED: dict[str, Callable[[], object]] = {
    "write in its spool": lambda: write("/var/lib/mxd"),
    "write in its runtime directory": lambda: write("/run/mxd"),
    "read its settings": lambda: read("/etc/mxfleet/mxd.toml"),
    "read its keys": read_keys,
    "run Python": lambda: subprocess.run([sys.executable, "-I", "-c", ""], check=True),
    "a process of its own": lambda: os._exit(0) if os.fork() == 0 else os.wait(),
    "ask the resolver": lambda: connect("127.0.0.1", 53),
    "reach another host": lambda: connect("10.77.0.100", 25),
    "reach another host by v6": lambda: connect("fd77:77::100", 25),
}


def told(attempt: Callable[[], object]) -> str:
    """Why an attempt failed, tried in a child; empty where it did not."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        why = ""
        try:
            attempt()
        except Exception as error:  # whatever refuses it
            why = f"{type(error).__name__}: {error}"
        with contextlib.suppress(OSError):
            os.write(writing, why.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        why = answer.read()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return why or (f"ended by signal {-status}" if status else "")


def main() -> None:
    everything = {"forbidden": FORBIDDEN, "needed": NEEDED}
    found = {kind: {name: told(one) for name, one in some.items()} for kind, some in everything.items()}
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
