"""An Ansible playbook of the same work as our deploy, generated from the same rendered files; pure.

Written as one would write it by hand: modules, loops, handlers, validation. Where it could not do what the deploy
does (packages without an index, a ruleset that rolls itself back), it does less, which is in its favour.
"""

import shlex
from collections.abc import Iterator
from typing import Any

from mxfleet.render import File
from mxfleet.render.desired import Desired

Json = dict[str, Any]
RELEASES, CURRENT = "/opt/mxfleet/releases", "/opt/mxfleet/current"
LOADS_TOO = {"smtp": ("tls",)}
"""Roles whose files the services of another load."""
SETTINGS = (
    "interpreter_python = /usr/bin/python3",
    "forks = 10",
    "host_key_checking = True",
    "gathering = explicit",
    "[ssh_connection]",
    "pipelining = True",
)


def configuration(ssh_config: str) -> str:
    """ansible.cfg with what makes it fast: pipelining, kept connections, no facts that nobody reads."""
    arguments = f"ssh_args = -F {ssh_config} -o ControlMaster=auto -o ControlPersist=60s"
    return "\n".join(["[defaults]", *SETTINGS, arguments, ""])


def inventory(nodes: dict[str, Desired], directory: str) -> Json:
    """Hosts with what differs between them: which file goes where."""
    return {
        "mx": {"hosts": {name: _variables(desired, f"{directory}/{name}") for name, desired in nodes.items()}}
    }


def playbook(desired: Desired, archive: str) -> list[Json]:
    """One play for all nodes, roles in the order of deploy.py; any node's `desired` gives what all share."""
    return [
        {
            "hosts": "mx",
            "become": True,
            "gather_facts": False,
            "any_errors_fatal": True,
            "tasks": list(_tasks(desired, archive)),
            "handlers": list(_handlers(desired)),
        }
    ]


def _variables(desired: Desired, directory: str) -> Json:
    roles: dict[str, list[Json]] = {}
    for file in desired.files:
        roles.setdefault(file.role.replace("-", "_"), []).append(_file(file, directory))
    ours = [
        {"path": one.path, "owner": one.owner, "group": one.group, "mode": f"{one.mode:04o}"}
        for one in desired.directories
    ]
    known = {one.path for one in desired.directories}
    parents = sorted({file.path.rpartition("/")[0] for file in desired.files} - known)
    files = {f"files_of_{role}": entries for role, entries in roles.items()}
    return {"directories": ours, "parents": parents, **files}


def _file(file: File, directory: str) -> Json:
    entry: Json = {
        "src": f"{directory}{file.path}", "dest": file.path,
        "owner": file.owner, "group": file.group, "mode": f"{file.mode:04o}",
    }  # fmt: skip
    if "{}" in file.check:
        entry["validate"] = _validation(file.check)
    return entry


def _validation(check: str) -> str:
    """Ansible runs it without a shell, and its copy is root's alone."""
    if "<" not in check:
        return check.replace("{}", "%s")
    script = 'chmod 0644 "$1" && ' + check.replace("{}", '"$1"')
    return f"sh -c {shlex.quote(script)} sh %s"


def _tasks(desired: Desired, archive: str) -> Iterator[Json]:
    packages = sorted({name for names in desired.packages.values() for name in names})
    yield _task("packages are installed", command={"argv": ["dpkg-query", "-W", *packages]}) | {
        "changed_when": False
    }
    user = {
        "name": "{{ item }}",
        "system": True,
        "create_home": False,
        "home": "/nonexistent",
        "shell": "/usr/sbin/nologin",
    }
    yield _task("users exist", user=user) | {"loop": list(desired.users)}
    yield from _release(desired.release, archive)
    place = {
        "path": "{{ item.path }}",
        "state": "directory",
        "owner": "{{ item.owner }}",
        "group": "{{ item.group }}",
        "mode": "{{ item.mode }}",
    }
    yield _task("directories exist", file=place) | {"loop": "{{ directories }}"}
    yield _task("parents exist", file={"path": "{{ item }}", "state": "directory"}) | {
        "loop": "{{ parents }}"
    }
    for role in dict.fromkeys(file.role for file in desired.files):
        yield from _role(desired, role)
    yield {"name": "handlers have run", "meta": "flush_handlers"}
    units = [unit.name for unit in desired.units]
    service = {"name": "{{ item }}", "enabled": True, "state": "started"}
    yield _task("units are enabled and run", systemd_service=service) | {"loop": units}
    yield _task("the exchange is healthy", command=f"{CURRENT}/venv/bin/mxd health --wait 30") | {
        "changed_when": False
    }


def _release(version: str, archive: str) -> Iterator[Json]:
    place = f"{RELEASES}/{version}"
    yield _task("the release's directory exists", file={"path": place, "state": "directory", "mode": "0755"})
    yield _task(
        "the release is unpacked",
        unarchive={"src": archive, "dest": place, "creates": f"{place}/venv/pyvenv.cfg"},
    )
    compiled = {
        "argv": ["python3", "-m", "compileall", "-q", f"{place}/venv/lib"],
        "creates": f"{place}/.compiled",
    }
    yield _task("the release is compiled", command=compiled)
    mark = {"dest": f"{place}/.compiled", "content": ""}
    yield _task("which is noted", copy=mark)
    yield _task("the release is current", file={"src": place, "dest": CURRENT, "state": "link"}) | {
        "notify": "smtp"
    }


def _role(desired: Desired, role: str) -> Iterator[Json]:
    variable = f"files_of_{role.replace('-', '_')}"
    copy = {name: f"{{{{ item.{name} }}}}" for name in ("src", "dest", "owner", "group", "mode")}
    copy["validate"] = "{{ item.validate | default(omit) }}"
    heard = {
        "base",
        *(unit.role for unit in desired.units if unit.name.endswith(".service")),
        *(role for roles in LOADS_TOO.values() for role in roles),
    }
    secret = any(file.secrets for file in desired.files if file.role == role)
    yield _task(f"files of {role} are as rendered", copy=copy) | {
        "loop": f"{{{{ {variable} }}}}",
        "loop_control": {"label": "{{ item.dest }}"},
        "notify": ["units are read", role] if role in heard else ["units are read"],
        "no_log": secret,
    }


def _handlers(desired: Desired) -> Iterator[Json]:
    yield _task("units are read", systemd_service={"daemon_reload": True})
    yield _task("kernel settings", command="sysctl -q -p /etc/sysctl.d/50-mxfleet.conf") | {"listen": "base"}
    for unit in desired.units:
        if unit.name.endswith(".service"):
            state = "reloaded" if unit.reload else "restarted"
            roles = [unit.role, *LOADS_TOO.get(unit.role, ())]
            yield _task(unit.name, systemd_service={"name": unit.name, "state": state}) | {"listen": roles}


def _task(name: str, **module: Any) -> Json:  # noqa: ANN401  (JSON)
    return {"name": name, **module}
