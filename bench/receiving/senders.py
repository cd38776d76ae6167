"""A thousand sender domains with their own DKIM keys, their zone, and signed messages with untidy white space."""

import json
import os
import random
from base64 import b64encode
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from mxfleet.mail.dkim.key import SigningKey
from mxfleet.mail.dkim.sign import Signer
from mxfleet.mail.message import parse_headers

VERSION: Final = "senders-3"  # another one when what is written below changes
DOMAINS: Final = 1000
PROVIDERS: Final = 20  # whose SPF records the domains include
SIZES: Final = {"4k": 4096, "50k": 50_000}
HUGE: Final = 50_000_000
SIGNED: Final = 1_795_000_000  # t= of all signatures: November 2026
WORDS: Final = [
    "the",
    "order",
    "of",
    "your",
    "invoice",
    "was",
    "shipped",
    "on",
    "Tuesday",
    "and",
    "we",
    "will",
    "meet",
    "at",
    "noon",
    "in",
    "room",
    "four",
    "with",
    "all",
    "who",
    "are",
    "concerned",
    "please",
    "find",
    "attached",
    "minutes",
    "figures",
    "report",
    "draft",
    "contract",
    "budget",
    "kind",
    "regards",
]


@dataclass(frozen=True)
class Senders:
    """Files: a corpus for each size (see generator.c) and the zone file of `test.`."""

    corpora: dict[str, Path]
    zone: Path
    reverse: Path


def ready(cache: Path) -> Senders:
    """From the cache, else made now: a thousand RSA keys take a minute."""
    directory = cache / VERSION
    if not (directory / "done").exists():
        directory.mkdir(parents=True, exist_ok=True)
        _make(directory)
    corpora = {size: directory / f"{size}.corpus" for size in (*SIZES, "huge")}
    return Senders(corpora, directory / "test.zone", directory / "77.127.in-addr.arpa.zone")


def name_of(number: int) -> str:
    """The domain of a sender; 0 is the most frequent."""
    return f"sender-{number:04d}.test"


def _make(directory: Path) -> None:
    with ProcessPoolExecutor() as pool:
        made = list(pool.map(_sender, range(DOMAINS), chunksize=20))
    for size in SIZES:
        with (directory / f"{size}.corpus").open("wb") as corpus:
            for number, (_, messages) in enumerate(made):
                corpus.write(_entry(number, messages[size]))
    huge = _header(random.Random(0), 0) + b"\r\n" + (b"x" * 70 + b"\r\n") * (HUGE // 72)
    (directory / "huge.corpus").write_bytes(_entry(0, huge))
    (directory / "test.zone").write_text(_zone([key for key, _ in made]))
    (directory / "77.127.in-addr.arpa.zone").write_text(_reverse_zone())
    (directory / "done").write_text(json.dumps({"domains": DOMAINS, "sizes": SIZES}) + "\n")


def _entry(number: int, message: bytes) -> bytes:
    octets = message.replace(b"\r\n.", b"\r\n..") + b".\r\n"  # RFC 5321 §4.5.2
    return f"news@{name_of(number)} {len(octets)}\n".encode() + octets


def _sender(number: int) -> tuple[str, dict[str, bytes]]:
    """The public key for DNS, and a signed message of each size; the private key is forgotten."""
    key = SigningKey(name_of(number), "s1", generate_private_key(65537, 2048))
    public = b64encode(key.public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()
    return public, {size: message(key, number, octets) for size, octets in SIZES.items()}


def message(key: SigningKey, number: int, size: int) -> bytes:
    """A signed message of about `size` octets, with white space as only people and their programs write it."""
    chance = random.Random(number)
    header = _header(chance, number)
    body = _body(chance, size - len(header) - 780)  # our signature field has about 750
    signer = Signer([key], timestamp=SIGNED)
    signer.body(body)
    return signer.sign(parse_headers(header)) + header + b"\r\n" + body


def _header(chance: random.Random, number: int) -> bytes:
    domain = name_of(number)
    unique = f"{chance.getrandbits(64):016x}"
    fields = [
        f"Received: from app-{number}.internal (app-{number}.internal [10.1.{number % 250}.7])",
        f"\tby out.{domain} (Postfix) with ESMTPS id {unique[:10].upper()}",
        "\tfor <alice@corp.test>; Mon, 23 Nov 2026 10:00:00 +0000 (UTC)",
        f"Message-ID: <{unique}@{domain}>",
        "Date:  Mon, 23 Nov 2026 10:00:00 +0000",
        f'From: "News of {domain}"  <news@{domain}>',
        'To:   "Alice"   <alice@corp.test>',
        f"Subject: {' '.join(chance.choices(WORDS, k=8))} ",
        f"\t{'  '.join(chance.choices(WORDS, k=4))}",
        "MIME-Version:\t1.0",
        "Content-Type: text/plain;",
        "\tcharset=us-ascii",
        f"List-Unsubscribe: <https://{domain}/unsubscribe/{unique}>",
        "X-Mailer: Bench  1.0",
    ]
    return "".join(f"{field}\r\n" for field in fields).encode()


def _body(chance: random.Random, size: int) -> bytes:
    lines: list[str] = []
    octets = 0
    while octets < size:
        line = " ".join(chance.choices(WORDS, k=chance.randrange(4, 14)))
        match chance.randrange(8):
            case 0:
                line += " " * chance.randrange(1, 4)
            case 1:
                line = line.replace(" ", "  ", 2)
            case 2:
                line = "\t" + line + "\t "
            case 3:
                line = ""
            case 4 if chance.random() < 0.05:
                line = "." + line
        lines.append(line)
        octets += len(line) + 2
    return "".join(f"{line}\r\n" for line in [*lines, "", " ", ""]).encode()


def _zone(keys: list[str]) -> str:
    """SPF by way of a provider, as most domains have it; a policy that rejects; one key each."""
    lines = [
        "$ORIGIN test.",
        "$TTL 3600",
        "@ SOA ns hostmaster 1 3600 600 86400 300",
        "@ NS ns",
        "ns A 127.0.0.1",
    ]
    for provider in range(PROVIDERS):
        ranges = " ".join(f"ip4:10.{provider}.{n}.0/24" for n in range(6))
        lines.append(f'_spf.provider-{provider:02d} TXT "v=spf1 {ranges} ip4:127.77.0.0/16 ?all"')
    for number, key in enumerate(keys):
        name = name_of(number).removesuffix(".test")
        provider = number % PROVIDERS
        lines += [
            f"{name} MX 10 mail.{name}",
            f"mail.{name} A 10.250.{number // 250}.{number % 250}",
            f'{name} TXT "v=spf1 mx include:_spf.provider-{provider:02d}.test -all"',
            f'_dmarc.{name} TXT "v=DMARC1; p=reject; rua=mailto:dmarc@{name}.test"',
            f's1._domainkey.{name} TXT "v=DKIM1; k=rsa; p={key[:200]}" "{key[200:]}"',
        ]
    lines += [f"client-{n}.bench A 127.77.{n}.1" for n in range(1, 251)]
    return "\n".join(lines) + "\n"


def _reverse_zone() -> str:
    lines = ["$ORIGIN 77.127.in-addr.arpa.", "$TTL 3600"]
    lines += ["@ SOA ns.test. hostmaster.test. 1 3600 600 86400 300", "@ NS ns.test."]
    lines += [f"1.{n} PTR client-{n}.bench.test." for n in range(1, 251)]
    return "\n".join(lines) + "\n"


def cache_directory() -> Path:
    """`mxfleet/bench` under XDG_CACHE_HOME or ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path(os.environ.get("HOME", "/root")) / ".cache")
    return Path(base) / "mxfleet" / "bench"
