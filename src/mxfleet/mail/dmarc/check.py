"""DMARC evaluation (RFC 9989 §5.3): does anything that was authenticated speak for the author domain."""

from collections.abc import Iterable, Sequence
from typing import Final, Literal, TypeAlias, cast

import msgspec

from mxfleet.errors import MessageError
from mxfleet.mail.author import authors
from mxfleet.mail.dkim.verify import Dkim
from mxfleet.mail.dmarc.record import DmarcRecord, Policy, milder, strictest
from mxfleet.mail.dmarc.walk import Applicable, Tree, exists, question_at, targets
from mxfleet.mail.message import Headers
from mxfleet.mail.names import is_within
from mxfleet.mail.questions import Question, Questions, Unanswered
from mxfleet.mail.spf.result import Spf

DmarcResult: TypeAlias = Literal["none", "pass", "fail", "temperror", "permerror"]

MAX_AUTHOR_DOMAINS: Final = 4  # RFC 9989 §11.5: few, else a message is a denial of service
_WORST_FIRST: Final = ("fail", "temperror", "permerror", "none", "pass")


class Dmarc(msgspec.Struct, frozen=True):
    """The verdict on a message.

    `domain` is the author domain, `policy` what its owner asks to do with a message that fails (after `sp`,
    `np` and `t`), `record_domain` where the record stands. Aligned means authenticated and of the same
    organisation; with temperror, as far as the organisation is known.
    """

    result: DmarcResult
    domain: str = ""
    policy: Policy = "none"
    reason: str = ""
    spf_aligned: bool = False
    dkim_aligned: bool = False
    testing: bool = False
    record_domain: str = ""
    record: DmarcRecord | None = None

    @property
    def aligned(self) -> bool:
        """Whether the author's organisation answers for the message."""
        return self.spf_aligned or self.dkim_aligned

    @property
    def disposition(self) -> Policy:
        """What the owner asks to do with this message: nothing unless it failed (RFC 9989 §5.3.6)."""
        return self.policy if self.result == "fail" else "none"


def questions_ahead(headers: Headers) -> tuple[Question, ...]:
    """What the check will probably ask, for asking while the body is still on its way."""
    try:
        domains = _domains(headers)
    except MessageError:
        return ()
    return tuple(question_at(name) for domain in domains for name in targets(domain))


def check_dmarc(headers: Headers, spf: Spf | None, signatures: Sequence[Dkim]) -> Questions[Dmarc]:
    """The verdict; `spf` is that on the MAIL FROM identity (RFC 9989 §4.4.2), None where it was not checked.

    A From field that cannot be read, or names nobody, is permerror: what to do with such a message is policy.
    With several author domains the worst verdict counts, with the strictest policy of those that fail (§11.5).
    """
    try:
        domains = _domains(headers)
    except MessageError as error:
        return Dmarc("permerror", reason=str(error))
    verdicts: list[Dmarc] = []
    for domain in domains:
        verdicts += [(yield from check_author_domain(domain, spf, signatures))]
    worst = min(verdicts, key=lambda verdict: (_WORST_FIRST.index(verdict.result), verdict.aligned))
    if worst.result == "fail":
        failed = [verdict for verdict in verdicts if verdict.result == "fail"]
        policy = strictest(verdict.policy for verdict in failed)
        return next(verdict for verdict in failed if verdict.policy == policy)
    return worst


def check_author_domain(domain: str, spf: Spf | None, signatures: Sequence[Dkim]) -> Questions[Dmarc]:
    """The verdict for one author domain."""
    tree, found = Tree(), None
    try:
        found = yield from tree.applicable(domain)
        if found is None:
            return Dmarc("none", domain, reason=f"no DMARC record applies to {domain}")
        if found.record.defect:
            return Dmarc(
                "none", domain, reason=f"the record of {found.domain} is void: {found.record.defect}"
            )
        return (yield from _evaluate(domain, found, _Alignment(tree, domain), spf, signatures))
    except Unanswered as error:  # RFC 9989 §5.3.6: neither pass nor fail
        return (yield from _open(domain, found, tree, spf, signatures, str(error)))


def _open(
    domain: str,
    found: Applicable | None,
    tree: Tree,
    spf: Spf | None,
    signatures: Sequence[Dkim],
    reason: str,
) -> Questions[Dmarc]:
    """No verdict, and what is aligned all the same as far as anybody knows: policy may be content with that."""
    tree.forgive()
    alignment, record = _Alignment(tree, domain), found.record if found else None
    by_spf = yield from alignment.of(_spf_domains(spf, "pass"), strict=bool(record and record.strict_spf))
    by_dkim = yield from alignment.of(
        _dkim_domains(signatures, "pass"), strict=bool(record and record.strict_dkim)
    )
    return Dmarc("temperror", domain, reason=reason, spf_aligned=by_spf, dkim_aligned=by_dkim)


def _evaluate(
    domain: str, found: Applicable, alignment: "_Alignment", spf: Spf | None, signatures: Sequence[Dkim]
) -> Questions[Dmarc]:
    record = found.record
    by_spf = yield from alignment.of(_spf_domains(spf, "pass"), strict=record.strict_spf)
    by_dkim = yield from alignment.of(_dkim_domains(signatures, "pass"), strict=record.strict_dkim)
    if by_spf or by_dkim:
        policy, result, reason = _policy(domain, found), "pass", _aligned_by(by_spf, by_dkim)
    else:
        yield from alignment.must_be_known(_spf_domains(spf, "temperror"), strict=record.strict_spf)
        yield from alignment.must_be_known(_dkim_domains(signatures, "temperror"), strict=record.strict_dkim)
        policy = yield from _policy_of_failure(domain, found)
        result, reason = "fail", "neither SPF nor DKIM passes for the author's organisation"
    return Dmarc(
        cast("DmarcResult", result),
        domain,
        milder(policy) if record.testing else policy,
        reason,
        by_spf,
        by_dkim,
        record.testing,
        found.domain,
        record,
    )


class _Alignment:
    """Which authenticated domains are of the author's organisation (RFC 9989 §4.10.2)."""

    def __init__(self, tree: Tree, author: str) -> None:
        self._tree = tree
        self._author = author
        self._unanswered = ""

    def of(self, domains: Iterable[str], *, strict: bool) -> Questions[bool]:
        """Whether any of these domains is aligned; one whose organisation nobody knows now is not, for now."""
        for domain in dict.fromkeys(domains):
            try:
                if domain == self._author or (not strict and (yield from self._related(domain))):
                    return True
            except Unanswered as error:
                self._unanswered = str(error)
        return False

    def must_be_known(self, domains: Iterable[str], *, strict: bool) -> Questions[None]:
        """Unanswered where one of these domains, whose authentication nobody knows now, might be aligned."""
        if (yield from self.of(domains, strict=strict)):
            raise Unanswered("the authentication of an aligned domain got no answer")
        if self._unanswered:
            raise Unanswered(self._unanswered)

    def _related(self, domain: str) -> Questions[bool]:
        if domain.rpartition(".")[2] != self._author.rpartition(".")[2]:
            return False  # not even a top-level domain in common: nothing to ask
        organization = yield from self._tree.organizational_domain(self._author)
        if not is_within(domain, organization):
            return False
        return (yield from self._tree.organizational_domain(domain)) == organization


def _domains(headers: Headers) -> tuple[str, ...]:
    domains = tuple(dict.fromkeys([author.domain for author in authors(headers)]))
    if not domains or "" in domains:
        raise MessageError("From names no domain")
    if len(domains) > MAX_AUTHOR_DOMAINS:
        raise MessageError(f"From names more than {MAX_AUTHOR_DOMAINS} domains")
    return domains


def _policy(domain: str, found: Applicable) -> Policy:
    return found.record.policy if found.domain == domain else found.record.subdomain_policy


def _policy_of_failure(domain: str, found: Applicable) -> Questions[Policy]:
    """RFC 9989 §4.10.1; whether the domain exists is asked only where it makes a difference."""
    policy = _policy(domain, found)
    if found.domain == domain or found.record.absent_policy == policy or (yield from exists(domain)):
        return policy
    return found.record.absent_policy


def _spf_domains(spf: Spf | None, result: str) -> tuple[str, ...]:
    return (spf.domain,) if spf is not None and spf.result == result and spf.identity == "mailfrom" else ()


def _dkim_domains(signatures: Sequence[Dkim], result: str) -> tuple[str, ...]:
    return tuple(verdict.domain for verdict in signatures if verdict.result == result)


def _aligned_by(by_spf: bool, by_dkim: bool) -> str:
    return "aligned by " + " and ".join(name for name, is_so in (("SPF", by_spf), ("DKIM", by_dkim)) if is_so)
