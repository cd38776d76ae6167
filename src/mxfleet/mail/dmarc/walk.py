"""The DNS Tree Walk (RFC 9989 §4.10): which record applies, and where an organisation begins."""

from collections.abc import Iterator
from typing import Final

import msgspec

from mxfleet.mail.dmarc.record import DmarcRecord, the_record
from mxfleet.mail.questions import NxDomain, Question, Questions, Response, TempError, Unanswered, ask_texts

MAX_QUERIES: Final = 8


class Applicable(msgspec.Struct, frozen=True):
    """The record that applies to an author domain, and at which domain it stands."""

    domain: str
    record: DmarcRecord


def targets(domain: str) -> Iterator[str]:
    """The domains whose `_dmarc` records a walk asks for: the domain, then its last seven labels and upwards."""
    yield domain
    labels = domain.split(".")
    for at in range(max(1, len(labels) - MAX_QUERIES + 1), len(labels)):
        yield ".".join(labels[at:])


def question_at(domain: str) -> Question:
    """The question for the record of one domain; for asking ahead."""
    return Question(f"_dmarc.{domain}", "TXT")


class Tree:
    """The records of one message's domains, each asked for once."""

    def __init__(self) -> None:
        self._records: dict[str, DmarcRecord | None] = {}
        self._silent: dict[str, str] = {}
        self._forgiving = False

    def forgive(self) -> None:
        """Whoever gives no answer has no record from here on: organisations may look smaller than they are."""
        self._forgiving = True

    def record_at(self, domain: str) -> Questions[DmarcRecord | None]:
        """The record at a domain itself; Unanswered where nobody knows."""
        if domain not in self._records and domain not in self._silent:
            try:
                self._records[domain] = the_record((yield from ask_texts(f"_dmarc.{domain}")))
            except Unanswered as error:
                self._silent[domain] = str(error)
        if domain in self._silent and not self._forgiving:
            raise Unanswered(self._silent[domain])
        return self._records.get(domain)

    def organizational_domain(self, domain: str) -> Questions[str]:
        """RFC 9989 §4.10.2: the top of the domain's organisation; itself where no record says otherwise."""
        found = yield from self._walk(domain)
        return _organization(domain, found)

    def applicable(self, domain: str) -> Questions[Applicable | None]:
        """RFC 9989 §4.10.1: the author domain's own record, its organisation's, or its public suffix's."""
        if own := (yield from self.record_at(domain)):
            return Applicable(domain, own)
        found = yield from self._walk(domain)
        records = dict(found)
        if (organization := _organization(domain, found)) in records:
            return Applicable(organization, records[organization])
        suffixes = [Applicable(name, record) for name, record in found if record.suffix == "y"]
        return suffixes[0] if suffixes else None

    def _walk(self, domain: str) -> Questions[list[tuple[str, DmarcRecord]]]:
        found: list[tuple[str, DmarcRecord]] = []
        for name in targets(domain):
            record = yield from self.record_at(name)
            if record is not None:
                found.append((name, record))
                if record.suffix != "u":
                    break
        return found


def exists(domain: str) -> Questions[bool]:
    """Whether a domain exists: whatever is not NXDOMAIN does (RFC 9989 §3.2.13, RFC 8020)."""
    response: Response = yield Question(domain, "A")
    if isinstance(response, TempError):
        raise Unanswered(f"A of {domain}: {response.reason}")
    return not isinstance(response, NxDomain)


def _organization(start: str, found: list[tuple[str, DmarcRecord]]) -> str:
    for name, record in found:  # from the longest to the shortest
        if record.suffix == "n":
            return name
        if record.suffix == "y" and name != start:
            below = start.removesuffix("." + name)
            return f"{below.rpartition('.')[2]}.{name}"
    return found[-1][0] if found else start
