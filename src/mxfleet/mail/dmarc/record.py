"""DMARC Policy Records (RFC 9989 §4.7, §4.8): text in, what it means out; an error in a tag is its default."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, TypeAlias

Policy: TypeAlias = Literal["none", "quarantine", "reject"]
Suffix: TypeAlias = Literal["y", "n", "u"]

POLICIES: Final[tuple[Policy, ...]] = ("none", "quarantine", "reject")  # from mild to strict
KEPT: Final = 512  # octets up to which a parsed record is kept
_BY_NAME: Final[Mapping[str, Policy]] = {policy: policy for policy in POLICIES}
# RFC 9989 §4.8, dmarc-version: DMARC1 with case, the rest without.
_VERSION = re.compile(rb"[vV][ \t]*=[ \t]*DMARC1[ \t]*(?:;|\Z)")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s,!]+")
_SIZE = re.compile(r"![0-9]+[kmgt]?\Z", re.IGNORECASE)  # obsolete, to be ignored


@dataclass(frozen=True, slots=True)
class DmarcRecord:
    """A record as it is to be applied.

    `policy` is for the domain itself, `subdomain_policy` for those below it that exist, `absent_policy` for
    those that do not (RFC 9989 §4.7: np, else sp, else p). `defect` says why nothing may be applied, "" where
    it may (§4.10.1).
    """

    text: str
    policy: Policy = "none"
    subdomain_policy: Policy = "none"
    absent_policy: Policy = "none"
    strict_dkim: bool = False
    strict_spf: bool = False
    suffix: Suffix = "u"
    testing: bool = False
    aggregate_to: tuple[str, ...] = ()
    failures_to: tuple[str, ...] = ()
    failure_options: str = "0"
    defect: str = ""


def the_record(texts: Iterable[bytes]) -> DmarcRecord | None:
    """The one DMARC record among TXT records; several are none (RFC 9989 §4.10, step 2)."""
    found = [text for text in texts if _VERSION.match(text)]
    if len(found) != 1:
        return None
    return _parse_kept(found[0]) if len(found[0]) <= KEPT else parse_dmarc_record(found[0])


def parse_dmarc_record(text: bytes) -> DmarcRecord:
    """What a text that begins with `v=DMARC1` says; unknown tags and broken values are passed over (§4.8)."""
    decoded = text.decode("utf-8", "replace")
    tags = _tags(decoded)
    aggregate_to = _uris(tags.get("rua", ""))
    policy, subdomain, absent, defect = _policies(tags, bool(aggregate_to))
    return DmarcRecord(
        decoded,
        policy,
        subdomain,
        absent,
        strict_dkim=tags.get("adkim", "").lower() == "s",
        strict_spf=tags.get("aspf", "").lower() == "s",
        suffix=_suffix(tags.get("psd", "")),
        testing=tags.get("t", "").lower() == "y",
        aggregate_to=aggregate_to,
        failures_to=_uris(tags.get("ruf", "")),
        failure_options=tags.get("fo", "0").lower(),
        defect=defect,
    )


_parse_kept = lru_cache(maxsize=2048)(parse_dmarc_record)


def milder(policy: Policy) -> Policy:
    """One level below, as a domain that is only testing asks (RFC 9989 §4.7, t)."""
    return POLICIES[max(0, POLICIES.index(policy) - 1)]


def strictest(policies: Iterable[Policy]) -> Policy:
    """The strictest of these, none of none."""
    return max(policies, key=POLICIES.index, default="none")


def _tags(text: str) -> dict[str, str]:
    """The tags by lower-case name; of one that is given twice the first counts."""
    tags: dict[str, str] = {}
    for part in text.split(";"):
        name, equals, value = part.partition("=")
        if equals:
            tags.setdefault(name.strip(" \t").lower(), value.strip(" \t"))
    return tags


def _policies(tags: Mapping[str, str], reports: bool) -> tuple[Policy, Policy, Policy, str]:
    """RFC 9989 §4.10.1: with a bad p, sp or np the record means p=none where it asks for reports, else nothing."""
    wrong = [name for name in ("sp", "np") if name in tags and _policy(tags, name) is None]
    if (policy := _policy(tags, "p")) is None:
        wrong.insert(0, "p")
    if policy is None or wrong:
        defect = "" if reports else f"{', '.join(f'{name}=' for name in wrong)} missing or not a policy"
        return "none", "none", "none", defect
    subdomain = _policy(tags, "sp") or policy
    return policy, subdomain, _policy(tags, "np") or subdomain, ""


def _policy(tags: Mapping[str, str], name: str) -> Policy | None:
    return _BY_NAME.get(tags.get(name, "").lower())


def _suffix(value: str) -> Suffix:
    return "y" if value in ("y", "Y") else "n" if value in ("n", "N") else "u"


def _uris(value: str) -> tuple[str, ...]:
    uris = (_SIZE.sub("", uri.strip(" \t")) for uri in value.split(","))
    return tuple(uri for uri in uris if _URI.fullmatch(uri))
