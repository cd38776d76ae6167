"""docs/measured/receive.md: the table with how it was made, for whoever doubts it."""

import time
from pathlib import Path
from typing import Final

from bench.receiving.postfix import MAIN
from bench.receiving.report import HEADINGS, Result, lines, verdicts

PLOT: Final = "receive.png"
METHOD: Final = """
- `mxd serve` as it ships, with the packages of `locks/node.txt` alone: two workers and the courier, SQLite spool, log
  to a file, trace ids, limits on; delivery attempts are set to none, so that it holds what it accepts.
- Debian's Postfix, a private instance that accepts and holds (its settings are below); it authenticates nothing,
  in no row. Its mail log goes to a file.
- One machine for servers and load, loopback. The two take turns in pairs A B A B, each life in an empty directory on
  the same disk; ratios are medians of the pairs' ratios, everything else medians.
- Every server commits each message to disk before its 250. After each window the messages that it keeps are counted:
  as many as were acknowledged, or the run fails. A row is called authenticated only where the messages in the spool
  say `spf=pass`, `dkim=pass` and `dmarc=pass`.
- Load by `bench/receiving/generator.c` from 250 loopback addresses, each of a prefix of its own: 1,000 sender domains with
  their own RSA-2048 keys by Zipf's law, bodies with untidy white space, commands one at a time (no
  pipelining). Latency is that of a whole transaction, from MAIL (from the connection where each message has its own) to the 250 behind the final dot.
- Before each window the same load runs for five seconds: what a host knows that has run for a while is then known
  (Postfix has its processes, mxd most of the senders' DNS records; the rarest are still asked for in the window).
- Names by a private Knot and a real unbound on loopback, not validating: the zones are unsigned.
- CPU is that of the server's control group, ended children included, without the name servers and the kernel's
  writeback threads. Memory is the proportional set size of all its processes, MB = 10^6 octets.
"""


def page(result: Result) -> str:
    """The whole page."""
    machine = ", ".join(f"{key} {value}" for key, value in result.machine.items())
    table = ["| " + " | ".join(HEADINGS) + " |", "|" + "---|" * len(HEADINGS)]
    table += ["| " + " | ".join(line) + " |" for line in lines(result)]
    parts = [
        "# Receiving, against Postfix",
        "Written by `python -m bench.receive`; do not edit.",
        f"{time.strftime('%Y-%m-%d', time.gmtime())}: {result.rounds} rounds of {result.seconds:.0f} s a cell; {machine}.",
        "\n".join(table),
        f"![Messages per second]({PLOT})",
        "## What must hold",
        "\n".join(f"- {sentence}" for sentence in verdicts(result)),
        "## How it was measured",
        METHOD.strip(),
        "Postfix's settings:",
        "```\n" + MAIN.strip() + "\n```",
    ]
    return "\n\n".join(parts) + "\n"


def write(result: Result, directory: Path) -> None:
    """The page; the plot stands beside it."""
    (directory / "receive.md").write_text(page(result))
