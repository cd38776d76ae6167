"""What a probe of a mail host found, as values that go from a node to the operator as JSON."""

from typing import Literal

import msgspec

Port = Literal["open", "refused", "filtered", "unreachable"]
Side = Literal["us", "them", "note"]


class Line(msgspec.Struct, frozen=True):
    """One line of the dialogue; `at` in seconds since the probe began."""

    at: float
    side: Side
    text: str


class Tried(msgspec.Struct, frozen=True):
    """One address: what its port said, and how long that took; `source` is ours."""

    address: str
    port: Port
    seconds: float
    source: str = ""
    words: str = ""


class TlsFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the handshake came to; `authority` and `dane` say why not, and are empty where it is good.

    `dane` is None where no usable TLSA record exists.
    """

    version: str
    cipher: str
    names: tuple[str, ...]
    issuer: str
    until: str
    authority: str = ""
    dane: str | None = None


class Report(msgspec.Struct, kw_only=True):
    """All of it; filled while the probe goes on."""

    host: str
    port: int
    node: str
    domain: str = ""
    dane: str = ""
    mta_sts: str = ""
    rule: str = ""
    tried: list[Tried] = []
    lines: list[Line] = []
    tls: TlsFacts | None = None
    offered: tuple[str, ...] = ()
    greeted_as: str = ""
    greeted_at: tuple[str, ...] = ()  # addresses of that name
    control: str = ""  # another port of a host whose port keeps silent, where that one answers
    code: int = 0  # of the last reply
    stage: str = ""
    capture: str = ""

    @property
    def opened(self) -> Tried | None:
        """The address that was spoken with."""
        return next((tried for tried in self.tried if tried.port == "open"), None)
