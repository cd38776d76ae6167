"""All targets by name: each takes any octets and raises nothing, or the fuzzer has found something."""

from collections.abc import Callable
from pathlib import Path

from fuzz import senders, smtp, texts

Target = Callable[[bytes], None]

TARGETS: dict[str, Target] = {
    "server": smtp.server,
    "client": smtp.client,
    "replies": smtp.replies,
    "stuffing": smtp.stuffing,
    "spf_record": senders.spf_record,
    "spf_check": senders.spf_check,
    "dkim_signature": senders.dkim_signature,
    "dkim_verify": senders.dkim_verify,
    "dmarc_record": senders.dmarc_record,
    "dmarc_check": senders.dmarc_check,
    "message": texts.message,
    "addresses": texts.addresses,
    "results": texts.results,
    "xtext": texts.xtext,
    "report": texts.report,
    "policies": texts.policies,
    "dns_answer": texts.dns_answer,
}
SEEDS = Path(__file__).resolve().parents[1] / "tests" / "data" / "fuzz"


def seeds(name: str) -> list[Path]:
    """The kept inputs of a target: where the fuzzer begins, and what the unit tests replay."""
    return sorted((SEEDS / name).iterdir())
