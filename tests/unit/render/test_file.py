"""Files as values: secrets stay references until the last moment."""

import pytest

from mxfleet.errors import RenderError
from mxfleet.fleet.secrets import Secret
from mxfleet.render import render
from mxfleet.render.file import File, directories, mark

from .samples import INVENTORIES, fleet_of, inputs_of, signing_of

KEY = Secret("dkim/corp.test/r1")


def test_the_secret_is_put_in_where_its_mark_stands() -> None:
    file = File(role="smtp", path="/k", text=f"{mark(KEY)}\n", secrets=(KEY,))
    assert (
        file.content(lambda _: b"-----BEGIN-----\nx\n-----END-----\n")
        == b"-----BEGIN-----\nx\n-----END-----\n"
    )


def test_a_secret_that_would_break_a_settings_file_is_refused_without_being_shown() -> None:
    file = File(role="smtp", path="/a", text=f'[[a]]\nhash = "{mark(KEY)}"\n', secrets=(KEY,))
    with pytest.raises(RenderError, match=r"dkim/corp\.test/r1: not one line") as refused:
        file.content(lambda _: b'hunter2"\n')
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("name", INVENTORIES)
def test_nobody_but_root_and_the_service_reads_a_secret_or_looks_into_its_directory(name: str) -> None:
    fleet = fleet_of(name)
    files = render(fleet, fleet.nodes[0], signing_of(fleet), inputs_of(fleet))
    for file in files:
        if file.secrets:
            assert file.path.startswith("/etc/mxfleet/")
            assert (file.owner, file.group, file.mode) in {("root", "mxd", 0o640), ("root", "root", 0o600)}
    assert all((d.group, d.mode) == ("mxd", 0o750) for d in directories(files))
    assert directories(files)[0].path == "/etc/mxfleet"


@pytest.mark.parametrize("name", INVENTORIES)
def test_no_path_is_rendered_twice(name: str) -> None:
    fleet = fleet_of(name)
    paths = [file.path for file in render(fleet, fleet.nodes[0], signing_of(fleet), inputs_of(fleet))]
    assert len(paths) == len(set(paths))


def test_a_missing_certificate_is_named_with_the_next_command() -> None:
    fleet = fleet_of("lab")
    signing = signing_of(fleet)
    with pytest.raises(RenderError, match=r"no certificate for mx1\.corp\.test — mxfleet tls") as missing:
        render(
            fleet,
            fleet.nodes[0],
            type(signing)(dkim=signing.dkim, certificates=signing.certificates[1:]),
            inputs_of(fleet),
        )
    assert "mx1.corp.test" in missing.value.message


def test_a_file_that_the_fleet_names_must_be_given() -> None:
    fleet = fleet_of("lab")
    with pytest.raises(RenderError, match="was not given to render"):
        render(fleet, fleet.nodes[0], signing_of(fleet), type(inputs_of(fleet))("1"))
