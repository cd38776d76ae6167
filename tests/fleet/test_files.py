"""Every file as it was rendered, and no secret where others can read it."""

from collections.abc import Callable

from mxfleet.doctor.inside import FileFound, Inside
from mxfleet.fleet import Node, SecretReference
from mxfleet.render import File, directories

Rendered = dict[str, tuple[File, ...]]
Secret = Callable[[SecretReference], bytes]
OURS = "/etc/mxfleet"


def test_every_file_is_what_the_fleet_renders(
    node: Node, seen: Inside, rendered: Rendered, secret: Secret
) -> None:
    wanted = {
        f"{node.name}:{file.path}": FileFound(file.owner, file.group, file.mode, file.digest(secret))
        for file in rendered[node.name]
    }
    found = {f"{node.name}:{file.path}": seen.files.get(file.path) for file in rendered[node.name]}
    assert found == wanted


def test_our_directories_are_for_the_service_alone(node: Node, seen: Inside, rendered: Rendered) -> None:
    wanted = {
        one.path: FileFound(one.owner, one.group, one.mode, "") for one in directories(rendered[node.name])
    }
    assert (node.name, {path: seen.files.get(path) for path in wanted}) == (node.name, wanted)


def test_no_secret_is_readable_by_others(node: Node, seen: Inside, rendered: Rendered) -> None:
    holders = [file.path for file in rendered[node.name] if file.secrets]
    assert holders
    readable = {path: oct(seen.files[path].mode) for path in holders if seen.files[path].mode & 0o007}
    assert (node.name, readable) == (node.name, {})


def test_nothing_else_lies_among_our_files(node: Node, seen: Inside, rendered: Rendered) -> None:
    wanted = {file.path for file in rendered[node.name] if file.path.startswith(f"{OURS}/")}
    assert (node.name, seen.ours - wanted) == (node.name, set())


def test_no_private_key_was_left_anywhere_else(node: Node, seen: Inside, rendered: Rendered) -> None:
    wanted = {file.path for file in rendered[node.name] if file.secrets}
    assert (node.name, seen.private_keys - wanted) == (node.name, set())
