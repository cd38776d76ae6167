"""Writing down what became of an attempt: in the spool, in the log, and to the sender where he is to be told."""

import asyncio
import random
import time
from collections.abc import Sequence
from typing import Final

import msgspec

from mxfleet.errors import SpoolError
from mxfleet.mail.address import Mailbox
from mxfleet.mail.reply import Reply
from mxfleet.mail.smtp.delivery import RecipientResult
from mxfleet.mxd import schedule
from mxfleet.mxd.desk import Desk
from mxfleet.mxd.dialogue import Attempt, same_for_all
from mxfleet.mxd.spool.values import Lease, Result
from mxfleet.mxd.telling import Teller, Told

UNTRIED: Final = Reply(451, "4.3.0", "This host could not try to deliver it")
EXPIRED: Final = "undelivered for too long"
SPREAD: Final = 0.1  # of a delay: what was deferred together does not come back together


class Clerk:
    """Of the courier's process."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._teller = Teller(desk)
        self._chance = random.Random()  # noqa: S311 - only spreads retries

    def untried(self, leases: Sequence[Lease], error: Exception) -> Attempt:
        """An attempt that no host ended: the body could not be read, or a mistake of ours; it is one like others."""
        trace = leases[0].message.envelope.trace
        event = "cannot read" if isinstance(error, SpoolError) else "mistake in mxd"
        self._desk.log.error(event, trace=trace, exception=error)
        members = [Mailbox(member.address, "") for lease in leases for member in lease.recipients]
        return same_for_all(members, UNTRIED)

    async def write(self, leases: Sequence[Lease], attempt: Attempt, seconds: float) -> bool:
        """All deliveries that shared an attempt, each with its own part of the answers; whether all is over.

        Not over: somebody waits still, or a report was put into the queue.
        """
        if len(leases) == 1:
            return await self._write(leases[0], attempt, seconds)
        position, writing = 0, []
        for lease in leases:
            end = position + len(lease.recipients)
            part = msgspec.structs.replace(attempt, answers=attempt.answers[position:end])
            writing.append(self._write(lease, part, seconds))
            position = end
        return all(await asyncio.gather(*writing))

    async def _write(self, lease: Lease, attempt: Attempt, seconds: float) -> bool:
        now = time.time()
        due = self._due(now, lease)
        results = _results(lease, attempt, gives_up=due is None)
        told = await self._teller.tell(lease, attempt, results, now)
        await self._record(lease, results, due or now, told)
        self._report(lease, attempt, results, due, seconds)
        return told.notice is None and all(result.state != "waiting" for result in results)

    def _due(self, now: float, lease: Lease) -> float | None:
        due = schedule.next_due(now, lease.attempts + 1, lease.expires, self._desk.settings.retry)
        return due and min(due + self._chance.random() * SPREAD * (due - now), lease.expires)

    async def _record(self, lease: Lease, results: list[Result], due: float, told: Told) -> None:
        """Write it down; a full disk is no reason to forget what was delivered, while this process lives."""
        trace = lease.message.envelope.trace
        notice = told.notice
        while True:
            try:
                kept = await self._desk.spool.record(lease, results, due, notice, warned=told.warned)
            except SpoolError as error:
                if self._desk.closing:
                    return
                self._desk.log.error("cannot record", trace=trace, exception=error)
                await asyncio.sleep(1.0)
                continue
            if not kept:
                self._desk.log.error("lease lost", trace=trace, domain=lease.domain)
            elif notice is not None:
                self._desk.counters.add("bounces")
                to, event = list(notice.recipients), "bounced" if "failed" in told.actions else "reported"
                self._desk.log.info(
                    event, trace=trace, bounce=notice.envelope.trace, recipients=to, actions=told.actions
                )
            return

    def _report(
        self, lease: Lease, attempt: Attempt, results: list[Result], due: float | None, seconds: float
    ) -> None:
        """One line for each recipient: the remote's words, and when it is tried again."""
        log, counters = self._desk.log, self._desk.counters
        for recipient, answer, result in zip(lease.recipients, attempt.answers, results, strict=True):
            event = "deferred" if result.state == "waiting" else result.state
            counters.add(event)
            counters.add("doubtful", answer.doubtful)
            log.info(
                event,
                trace=lease.message.envelope.trace,
                recipient=recipient.address,
                host=attempt.host,
                address=attempt.address,
                tls=attempt.tls,
                **_security(attempt),
                reply=result.reply,
                stage=answer.stage,
                attempt=lease.attempts + 1,
                seconds=round(seconds, 3),
                **({"next": round(due or 0, 1)} if event == "deferred" else {}),
                **({"doubtful": True} if answer.doubtful else {}),
            )


def _security(attempt: Attempt) -> dict[str, str]:
    """How the TLS came to be what it is, where there is something to say."""
    fields = {"cipher": attempt.cipher, "policy": attempt.policy, "verified": attempt.verified}
    return {name: value for name, value in fields.items() if value}


def _results(lease: Lease, attempt: Attempt, *, gives_up: bool) -> list[Result]:
    """What the spool is told of each recipient; who gives up says so beside the last reply."""
    pairs = zip(lease.recipients, attempt.answers, strict=True)
    return [_result(recipient.number, answer, gives_up) for recipient, answer in pairs]


def _result(number: int, answer: RecipientResult, gives_up: bool) -> Result:
    reply = str(answer.reply)
    if answer.status == "deferred":
        return (
            Result(number, "failed", f"{EXPIRED}: {reply}") if gives_up else Result(number, "waiting", reply)
        )
    return Result(number, answer.status, reply)
