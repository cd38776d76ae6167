"""Alias files: `name: target, target`, one alias a line; `*` is whoever is not listed; `#` begins a comment.

A target is a mailbox of one of our domains, or just its local part in the same domain. Targets elsewhere would be
forwarding, which breaks the sender's SPF unless the path is rewritten (SRS), and that is not there yet.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from mxfleet.errors import AddressError, SettingsError
from mxfleet.mail.address import Mailbox, parse_mailbox

CATCH_ALL: Final = "*"
MAX_TARGETS: Final = 100  # of one alias
MAX_DEPTH: Final = 10  # aliases of aliases

Aliases = Mapping[str, tuple[Mailbox, ...]]
"""Local part in lower case, or `*`, to targets."""


def parse_aliases(text: str, domain: str, name: str) -> dict[str, tuple[Mailbox, ...]]:
    """The aliases of one domain; SettingsError with file and line."""
    found: dict[str, tuple[Mailbox, ...]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].strip()
        if not words:
            continue
        place = f"{name}:{number}"
        alias, colon, targets = words.partition(":")
        alias = alias.strip().lower()
        if not colon or not alias or "@" in alias or any(c.isspace() for c in alias):
            raise SettingsError(f"{place}: not `name: target, target`", hint="* is everybody else")
        if alias in found:
            raise SettingsError(f"{place}: the alias {alias} stands there twice")
        found[alias] = tuple(_targets(targets, domain, place))
    return found


def expand(
    alias: str, domain: str, all_aliases: Mapping[str, Aliases], listed: Mapping[str, frozenset[str]]
) -> tuple[Mailbox, ...]:
    """The mailboxes that an alias stands for in the end; SettingsError where it leads nowhere or in a circle.

    A mailbox that is listed counts before an alias of the same name.
    """
    found: dict[Mailbox, None] = {}
    _expand(all_aliases[domain][alias], all_aliases, listed, found, 0, f"{alias}@{domain}")
    return tuple(found)


def _expand(
    targets: tuple[Mailbox, ...],
    all_aliases: Mapping[str, Aliases],
    listed: Mapping[str, frozenset[str]],
    found: dict[Mailbox, None],
    depth: int,
    whose: str,
) -> None:
    if depth > MAX_DEPTH:
        raise SettingsError(f"alias {whose}: leads in a circle, or through more than {MAX_DEPTH} others")
    for target in targets:
        local = target.local.lower()
        if local in listed.get(target.domain, ()):
            found[target] = None
        elif further := all_aliases.get(target.domain, {}).get(local):
            _expand(further, all_aliases, listed, found, depth + 1, whose)
        else:
            raise SettingsError(
                f"alias {whose}: {target} is nobody's mailbox here",
                hint="list it among the recipients, or name a mailbox of one of our domains",
            )


def _targets(text: str, domain: str, place: str) -> Iterator[Mailbox]:
    targets = [target.strip() for target in text.split(",")]
    if len(targets) > MAX_TARGETS:
        raise SettingsError(f"{place}: more than {MAX_TARGETS} targets")
    for target in targets:
        try:
            yield parse_mailbox(target if "@" in target else f"{target}@{domain}")
        except AddressError as error:
            raise SettingsError(f"{place}: {error}") from error
