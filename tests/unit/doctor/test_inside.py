"""Reading what a node says: output as it was captured from Debian 13."""

import json

from mxfleet.doctor.inside import (
    Chain,
    FileFound,
    Unit,
    files_command,
    read_addresses,
    read_answers,
    read_chains,
    read_files,
    read_notes,
    read_pairs,
    read_sets,
    read_sockets,
    read_units,
    read_users,
    read_words,
)


def test_units_with_and_without_restarts() -> None:
    text = (
        "NRestarts=2\nId=mxd.service\nActiveState=active\nUnitFileState=enabled\n\n"
        "Id=mxd-smtp.socket\nActiveState=inactive\nUnitFileState=\n"
    )
    assert read_units(text) == {
        "mxd.service": Unit("active", "enabled", 2),
        "mxd-smtp.socket": Unit("inactive", "", 0),
    }


def test_sockets_of_both_families_and_of_one_address() -> None:
    text = (
        "LISTEN 0 128 0.0.0.0:22 0.0.0.0:*\n"
        "LISTEN 0 1024 *:25 *:*\n"
        "LISTEN 0 128 [::]:22 [::]:*\n"
        "LISTEN 0 256 127.0.0.1:53 0.0.0.0:*\n"
        "LISTEN 0 256 [::1]:53 [::]:*\n"
        "LISTEN 0 5 [fe80::1%eth0]:546 [::]:*\n"
    )
    assert read_sockets(text) == {
        ("0.0.0.0", 22), ("*", 25), ("::", 22), ("127.0.0.1", 53), ("::1", 53), ("fe80::1", 546),
    }  # fmt: skip


def test_addresses_without_loopback_and_link_local() -> None:
    links = [
        {"ifname": "lo", "addr_info": [{"local": "127.0.0.1", "scope": "host"}]},
        {
            "ifname": "eth0",
            "addr_info": [
                {"local": "10.77.0.11", "scope": "global"},
                {"local": "fe80::1", "scope": "link"},
                {"local": "fd77:77::10", "scope": "global"},
            ],
        },
    ]
    assert read_addresses(json.dumps(links)) == {"10.77.0.11": "eth0", "fd77:77::10": "eth0"}


RULES = json.dumps(
    {
        "nftables": [
            {"metainfo": {"version": "1.1.3"}},
            {"table": {"family": "inet", "name": "mxfleet"}},
            {
                "set": {
                    "family": "inet",
                    "name": "admin4",
                    "table": "mxfleet",
                    "elem": ["10.77.0.1", {"prefix": {"addr": "10.9.0.0", "len": 24}}],
                }
            },
            {"set": {"family": "inet", "name": "peer6", "table": "mxfleet"}},
            {
                "set": {
                    "family": "inet",
                    "name": "odd",
                    "table": "mxfleet",
                    "elem": [
                        {"range": ["10.0.0.1", "10.0.0.9"]},
                        {"elem": {"val": "10.1.1.1", "timeout": 9}},
                    ],
                }
            },
            {
                "chain": {
                    "family": "inet",
                    "table": "mxfleet",
                    "name": "input",
                    "hook": "input",
                    "prio": 0,
                    "policy": "drop",
                }
            },
            {"chain": {"family": "inet", "table": "mxfleet", "name": "extra"}},
        ]
    }
)


def test_base_chains_and_no_others() -> None:
    assert read_chains(RULES) == [Chain("inet", "mxfleet", "input", "input", "drop")]


def test_sets_with_their_elements_as_text() -> None:
    assert read_sets(RULES) == {
        "admin4": {"10.77.0.1", "10.9.0.0/24"},
        "peer6": set(),
        "odd": {"10.0.0.1-10.0.0.9", "10.1.1.1"},
    }


def test_files_and_directories_and_what_is_not_there() -> None:
    digest = "a" * 64
    text = (
        "root mxd 640 /etc/mxfleet/mxd.toml\nroot root 755 /usr/local/lib/with space\n"
        f"root mxd 750 /etc/mxfleet\n{digest}  /etc/mxfleet/mxd.toml\n"
    )
    assert read_files(text) == {
        "/etc/mxfleet/mxd.toml": FileFound("root", "mxd", 0o640, digest),
        "/usr/local/lib/with space": FileFound("root", "root", 0o755, ""),
        "/etc/mxfleet": FileFound("root", "mxd", 0o750, ""),
    }


def test_the_command_for_files_quotes_their_names() -> None:
    assert "'/a b'" in files_command(["/a b"])


def test_pairs_of_sysctl_and_of_configuration_files() -> None:
    text = (
        "# x = 1\n\nnet.ipv4.tcp_rmem = 4096\t131072\t6291456\n-net.ipv4.x=1\n[Journal]\nStorage=persistent\n"
    )
    assert read_pairs(text) == {
        "net.ipv4.tcp_rmem": "4096 131072 6291456",
        "net.ipv4.x": "1",
        "Storage": "persistent",
    }


def test_words_of_sshd() -> None:
    assert read_words("port 22\npermitrootlogin no\nPort 23\n") == {"port": "22", "permitrootlogin": "no"}


def test_notes_of_units() -> None:
    assert read_notes("ssh.service:abc\nmxd-smtp.socket:def\n") == {
        "ssh.service": "abc",
        "mxd-smtp.socket": "def",
    }


def test_users_and_answers() -> None:
    assert read_users("mxd:x:998:998::/var/lib/mxd:/usr/sbin/nologin\n") == {
        "mxd": (998, "/usr/sbin/nologin")
    }
    assert read_answers(". NOERROR AD\nx.test SERVFAIL -\n") == {
        ".": ("NOERROR", True),
        "x.test": ("SERVFAIL", False),
    }
