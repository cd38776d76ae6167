"""check_host() (RFC 7208 §4): evaluates a domain's policy for one client, recursive for include and redirect."""

from typing import Final

import msgspec

from mxfleet.errors import MailError
from mxfleet.mail.names import canonical_name, is_askable, is_within
from mxfleet.mail.questions import (
    Address,
    Questions,
    Unanswered,
    ask_addresses,
    ask_exchanges,
    ask_names,
    ask_texts,
    family_of,
    without_mapping,
)
from mxfleet.mail.spf.macro import MacroString, Session, parse_explanation, target_name
from mxfleet.mail.spf.record import (
    All,
    Asking,
    Directive,
    Exists,
    Hosts,
    Include,
    Network,
    Pointer,
    SpfRecord,
    parse_spf_record,
    spf_records,
)
from mxfleet.mail.spf.result import Identity, Spf, SpfResult

MAX_LOOKUPS: Final = 10  # RFC 7208 §4.6.4: terms that ask the DNS
MAX_VOIDS: Final = 2  # RFC 7208 §4.6.4: terms whose questions have no answer
MAX_EXCHANGES: Final = 10
MAX_POINTERS: Final = 10
MAX_EXPLANATION: Final = 400  # octets, written and expanded: it is to fit into a line of a reply


def check_mail_from(
    address: Address, hello: str, sender: str, *, receiver: str = "unknown", timestamp: int = 0
) -> Questions[Spf]:
    """Check the MAIL FROM identity; `sender` is the reverse-path without brackets, "" for the null one.

    The null reverse-path stands for postmaster at the HELO name (RFC 7208 §2.4).
    """
    local, _, domain = sender.rpartition("@") if sender else ("", "", hello)
    session = Session(
        without_mapping(address), hello, local or "postmaster", canonical_name(domain), receiver, timestamp
    )
    return check_host(session, domain, "mailfrom")


def check_helo(
    address: Address, hello: str, *, receiver: str = "unknown", timestamp: int = 0
) -> Questions[Spf]:
    """Check the HELO identity (RFC 7208 §2.3)."""
    session = Session(
        without_mapping(address), hello, "postmaster", canonical_name(hello), receiver, timestamp
    )
    return check_host(session, hello, "helo")


def check_host(session: Session, domain: str, identity: Identity) -> Questions[Spf]:
    """The verdict on `domain` for this session, and for a `fail` the domain's explanation."""
    name = canonical_name(domain)
    evaluation = _Evaluation(session)
    found = yield from evaluation.check(name)
    explanation = ""
    if found.result == "fail" and found.record is not None and found.record.explanation is not None:
        explanation = yield from evaluation.explain(found.record.explanation, found.domain)
    return Spf(
        found.result,
        identity,
        name or domain,
        found.mechanism,
        found.reason,
        explanation,
        evaluation.personal,
    )


class _Found(msgspec.Struct, frozen=True):
    result: SpfResult
    domain: str
    mechanism: str = ""
    reason: str = ""
    record: SpfRecord | None = None


class _Evaluation:
    """What all recursions of one check share: the session and how much was asked."""

    __slots__ = ("_lookups", "_names", "_session", "_voids", "personal")

    def __init__(self, session: Session) -> None:
        self._session = session
        self.personal = False  # whether a macro was expanded
        self._lookups = 0
        self._voids = 0
        self._names: tuple[str, ...] | None = None

    def check(self, domain: str) -> Questions[_Found]:
        """RFC 7208 §4.3 to §4.7."""
        if not is_askable(domain) or "." not in domain:
            return _Found("none", domain, reason="not a domain name of two labels or more (RFC 7208 §4.3)")
        try:
            texts = spf_records((yield from ask_texts(domain)))
            if not texts:
                return _Found("none", domain, reason=f"{domain} publishes no SPF record")
            if len(texts) > 1:
                raise MailError(f"{domain} publishes {len(texts)} SPF records (RFC 7208 §4.5)")
            return (yield from self._evaluate(parse_spf_record(texts[0]), domain))
        except Unanswered as error:
            return _Found("temperror", domain, reason=str(error))
        except MailError as error:
            return _Found("permerror", domain, reason=f"{domain}: {error}")

    def explain(self, spec: MacroString, domain: str) -> Questions[str]:
        """The domain's own words for a refusal, "" for any trouble in getting them (RFC 7208 §6.2)."""
        try:
            texts = yield from ask_texts((yield from self._target(spec, domain)))
            if len(texts) != 1 or len(texts[0]) > MAX_EXPLANATION:
                return ""
            words = parse_explanation(texts[0].decode("ascii"))
            self.personal = self.personal or words.constant is None
            name = (yield from self._client_name(domain)) if words.needs_name else ""
            expanded = words.expand(self._session, domain, name)
        except (MailError, UnicodeDecodeError):
            return ""
        fits = expanded.isascii() and expanded.isprintable() and len(expanded) <= MAX_EXPLANATION
        return expanded if fits else ""

    def _evaluate(self, record: SpfRecord, domain: str) -> Questions[_Found]:
        client = self._session.address
        for directive in record.directives:
            mechanism = directive.mechanism
            if isinstance(mechanism, Network | All):  # as most are: nothing has to be asked
                matches = mechanism.covers(client)
            else:
                matches = yield from self._matches(mechanism, domain)
            if matches:
                return _Found(directive.result, domain, directive.text, _because(directive, domain), record)
        if record.redirect is None:
            return _Found("neutral", domain, "default", f"no mechanism of {domain} matches", record)
        # RFC 7208 §6.1: as if the target's record had been this one's; without one it is a permerror.
        self._count_lookup()
        target = yield from self._target(record.redirect, domain)
        found = yield from self.check(target)
        if found.result == "none":
            raise MailError(f"redirect={target}: {found.reason}")
        return found

    def _matches(self, mechanism: Asking, domain: str) -> Questions[bool]:
        self._count_lookup()
        if isinstance(mechanism, Include):
            return (yield from self._included((yield from self._target(mechanism.target, domain))))
        target = (yield from self._target(mechanism.target, domain)) if mechanism.target else domain
        if isinstance(mechanism, Pointer):
            return any(is_within(name, target) for name in (yield from self._validated_names()))
        if not is_askable(target):
            return False  # RFC 7208 §4.8 leaves it open; no question can be composed, so nothing matches
        if isinstance(mechanism, Exists):
            return self._unless_void((yield from ask_addresses(target, "A")))
        return (yield from self._hosts_match(mechanism, target))

    def _included(self, target: str) -> Questions[bool]:
        """RFC 7208 §5.2."""
        found = yield from self.check(target)
        if found.result == "temperror":
            raise Unanswered(f"include:{target}: {found.reason}")
        if found.result in ("permerror", "none"):
            raise MailError(f"include:{target}: {found.reason}")
        return found.result == "pass"

    def _hosts_match(self, mechanism: Hosts, target: str) -> Questions[bool]:
        """RFC 7208 §5.3 and §5.4; a term counts as void once, and only where it leads to no address at all."""
        client = self._session.address
        family = family_of(client)
        if not mechanism.exchanges:
            addresses = yield from ask_addresses(target, family)
            return self._unless_void(addresses) and any(mechanism.covers(a, client) for a in addresses)
        exchanges = yield from ask_exchanges(target)
        if len(exchanges) > MAX_EXCHANGES:
            raise MailError(f"mx:{target} has more than {MAX_EXCHANGES} hosts (RFC 7208 §4.6.4)")
        found = False
        for host in (canonical_name(exchange.host) for exchange in exchanges):
            addresses = (yield from ask_addresses(host, family)) if host else ()
            if any(mechanism.covers(address, client) for address in addresses):
                return True
            found = found or bool(addresses)
        self._unless_void(found)
        return False

    def _validated_names(self) -> Questions[tuple[str, ...]]:
        """RFC 7208 §5.5: the client's names that lead back to it; trouble on the way means fewer of them."""
        if self._names is None:
            self._names = yield from self._look_up_names()
        return self._names

    def _look_up_names(self) -> Questions[tuple[str, ...]]:
        client = self._session.address
        try:
            names = yield from ask_names(client)
        except Unanswered:
            return ()
        self._unless_void(names)
        validated = []
        for name in names[:MAX_POINTERS]:
            try:
                addresses = (yield from ask_addresses(name, family_of(client))) if is_askable(name) else ()
            except Unanswered:
                continue
            if client in addresses:
                validated.append(name)
        return tuple(validated)

    def _client_name(self, domain: str) -> Questions[str]:
        """The macro `p` (RFC 7208 §7.3): the domain itself, else a name below it, else any, else "unknown"."""
        names = yield from self._validated_names()
        return next(
            iter(sorted(names, key=lambda name: (name != domain, not is_within(name, domain)))), "unknown"
        )

    def _target(self, spec: MacroString, domain: str) -> Questions[str]:
        if spec.constant is not None:
            return target_name(spec.constant)
        self.personal = True
        name = (yield from self._client_name(domain)) if spec.needs_name else ""
        return target_name(spec.expand(self._session, domain, name))

    def _count_lookup(self) -> None:
        self._lookups += 1
        if self._lookups > MAX_LOOKUPS:
            raise MailError(f"more than {MAX_LOOKUPS} terms that ask the DNS (RFC 7208 §4.6.4)")

    def _unless_void(self, found: object) -> bool:
        if found:
            return True
        self._voids += 1
        if self._voids > MAX_VOIDS:
            raise MailError(f"more than {MAX_VOIDS} terms without an answer (RFC 7208 §4.6.4)")
        return False


def _because(directive: Directive, domain: str) -> str:
    return f"{directive.text} of {domain} matches"
