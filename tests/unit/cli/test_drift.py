"""drift speaks of files, units and packages, never of our own roles."""

from mxfleet.cli.drift import as_values
from mxfleet.render.differences import Difference


def test_json_has_the_words_of_the_text() -> None:
    found = {
        "mx1": (),
        "mx2": (
            Difference("access", "stray", "/etc/mxfleet/old.pem", "does not belong here"),
            Difference("rules", "rules", "rules in the kernel", "differ from what was loaded"),
            Difference("smtp", "unit", "mxd.service", "is failed"),
        ),
    }
    assert as_values(found) == [
        {"node": "mx2", "kind": "file", "name": "/etc/mxfleet/old.pem", "how": "does not belong here"},
        {
            "node": "mx2",
            "kind": "firewall",
            "name": "rules in the kernel",
            "how": "differ from what was loaded",
        },
        {"node": "mx2", "kind": "unit", "name": "mxd.service", "how": "is failed"},
    ]
    assert [str(one) for one in found["mx2"]] == [
        "file /etc/mxfleet/old.pem: does not belong here",
        "firewall rules in the kernel: differ from what was loaded",
        "unit mxd.service: is failed",
    ]
