"""Everything that the service reads from disk, read once, checked whole, and known by its digest."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificates

from mxfleet.errors import AddressError, MxfleetError, SettingsError
from mxfleet.mail.address import Mailbox, parse_domain, parse_mailbox
from mxfleet.mail.dkim.key import SigningKey
from mxfleet.mxd import accounts, settings
from mxfleet.mxd.admission import wrong_limits
from mxfleet.mxd.digest import digest
from mxfleet.mxd.directory import Directory
from mxfleet.mxd.forwarding import Forwarding
from mxfleet.mxd.routing_check import routing_problems
from mxfleet.mxd.routing_settings import listed
from mxfleet.mxd.settings import Settings
from mxfleet.mxd.tls import Certificates


class Configuration(msgspec.Struct, frozen=True):
    """What a process of the service works with; `passwords` are those of next hops, by file.

    `fixed` is the digest of the files that a running process cannot take in anew: all but certificates and
    DKIM keys (and the settings, which are compared as values).
    """

    settings: Settings
    directory: Directory
    accounts: accounts.Directory
    certificates: Certificates
    keys: dict[str, tuple[SigningKey, ...]]
    passwords: dict[str, str]
    digest: str
    fixed: str = ""
    forwarding: Forwarding | None = None

    def takes_in(self, other: "Configuration") -> bool:
        """Whether a running process may go on with the other one: they differ in certificates and DKIM keys alone."""
        mine, theirs = (msgspec.structs.replace(c.settings, certificate=(), dkim=()) for c in (self, other))
        return (
            mine == theirs
            and self.fixed == other.fixed
            and bool(self.certificates) == bool(other.certificates)
        )

    def sealing_key(self, to: tuple[Mailbox, ...]) -> SigningKey | None:
        """The RSA key (RFC 8617 §4.1.3 knows no other) that vouches for mail to these, None where none goes on."""
        if self.forwarding is None or all(self.directory.has(mailbox.domain) for mailbox in to):
            return None
        keys = self.keys.get(self.forwarding.rewriter.domain, ())
        return next((key for key in keys if key.algorithm == "rsa-sha256"), None)


def load(path: Path) -> Configuration:
    """Read and check everything; raises SettingsError with one line for each thing that is wrong."""
    files, problems = read_files(path)
    if problems:
        raise SettingsError("\n".join(problems))
    parsed = settings.parse(_text(files[str(path)]), str(path))
    keys: dict[str, tuple[SigningKey, ...]] = {}
    for key in parsed.dkim:
        loaded = SigningKey.from_pem(files[key.key], domain=key.domain, selector=key.selector)
        keys[key.domain] = (*keys.get(key.domain, ()), loaded)
    return Configuration(
        settings=parsed,
        directory=Directory.of(parsed),
        accounts=accounts.Directory(_accounts(parsed, files)),
        certificates=Certificates(parsed.certificate),
        keys=keys,
        passwords={name: _text(files[name]).rstrip("\n") for name in _password_files(parsed)},
        digest=digest(files),
        fixed=digest({name: files[name] for name in files if name not in (str(path), *renewable(parsed))}),
        forwarding=_forwarding(parsed, files),
    )


def read_files(path: Path) -> tuple[dict[str, bytes], list[str]]:
    """The settings and every file they name, by path, with all problems found; never raises."""
    try:
        files = {str(path): path.read_bytes()}
        parsed = settings.parse(_text(files[str(path)]), str(path))
    except OSError as error:
        return {}, [f"{path}: cannot be read: {error.strerror}"]
    except (SettingsError, UnicodeDecodeError) as error:
        return {}, [str(error)]
    problems: list[str] = []
    for name in referenced(parsed):
        try:
            files[name] = Path(name).read_bytes()
        except FileNotFoundError:
            if name != parsed.paths.accounts:
                problems.append(f"{name}: named in {path} but not there")
        except OSError as error:
            problems.append(f"{name}: cannot be read: {error.strerror}")
    if not problems:
        problems = list(_problems(parsed, files))
    return files, problems


def renewable(parsed: Settings) -> list[str]:
    """The paths of the files that a running process takes in anew: certificates and DKIM keys."""
    names = [path for certificate in parsed.certificate for path in (certificate.chain, certificate.key)]
    return names + [key.key for key in parsed.dkim]


def referenced(parsed: Settings) -> list[str]:
    """The paths of all files that the settings name."""
    names = [parsed.paths.accounts, *renewable(parsed), *_password_files(parsed)]
    names += [parsed.forwarding.keys] if parsed.forwarding else []
    names += [trust for trust in trust_files(parsed) if trust]
    return list(dict.fromkeys(names))


def trust_files(parsed: Settings) -> list[str]:
    """The files with authorities that are believed; empty for what Debian has."""
    return list(dict.fromkeys([parsed.sending.trust, *(d.trust for d in parsed.destination)]))


def _problems(parsed: Settings, files: dict[str, bytes]) -> Iterator[str]:
    """What is wrong although every file could be read: one clear line each, never an octet of a secret."""
    yield from _domain_problems(parsed)
    yield from routing_problems(parsed)
    try:
        _forwarding(parsed, files)
    except AddressError as error:
        yield f"{parsed.forwarding.keys if parsed.forwarding else ''}: {error}"
    yield from _certificate_problems(parsed, files)
    yield from _trust_problems(parsed, files)
    yield from wrong_limits(parsed)
    if parsed.rspamd is not None and parsed.evidence is None:
        yield "[rspamd] without [evidence]: it is only asked about mail that is examined"
    for key in parsed.dkim:
        try:
            loaded = SigningKey.from_pem(files[key.key], domain=key.domain, selector=key.selector)
            if not loaded.algorithm.startswith(key.algorithm):
                yield f"{key.key}: is an {loaded.algorithm} key, [[dkim]] says {key.algorithm}"
        except (MxfleetError, ValueError) as error:
            yield f"{key.key}: not a key that signs for {key.domain}: {error}"
    yield from _account_problems(parsed, files)


def _domain_problems(parsed: Settings) -> Iterator[str]:
    seen: set[str] = set()
    for domain in parsed.domain:
        try:
            canonical = parse_domain(domain.name)
        except AddressError as error:
            yield f"[[domain]] {domain.name}: {error}"
            continue
        if canonical != domain.name:
            yield f"[[domain]] {domain.name}: write {canonical}"
        if canonical in seen:
            yield f"[[domain]] {domain.name}: stands there twice"
        seen.add(canonical)
    try:
        directory, postmaster = Directory.of(parsed), parsed.service.postmaster
        if postmaster and not directory.postmaster:
            yield f"service.postmaster: {postmaster} is nobody's mailbox here"
    except AddressError as error:
        yield f"service.postmaster: {error}"
    except SettingsError as error:
        yield str(error)


def _certificate_problems(parsed: Settings, files: dict[str, bytes]) -> Iterator[str]:
    for certificate in parsed.certificate:
        try:
            chain = load_pem_x509_certificates(files[certificate.chain])
        except ValueError:
            yield f"{certificate.chain}: not a certificate chain in PEM"
            continue
        try:
            key = load_pem_private_key(files[certificate.key], None)
        except (ValueError, TypeError):
            yield f"{certificate.key}: not a private key in PEM without a passphrase"
            continue
        if key.public_key() != chain[0].public_key():
            yield f"{certificate.key}: does not belong to the certificate in {certificate.chain}"
            continue
        try:
            Certificates([certificate])
        except (SettingsError, ssl.SSLError) as error:
            yield str(error)


def _trust_problems(parsed: Settings, files: dict[str, bytes]) -> Iterator[str]:
    for path in filter(None, trust_files(parsed)):
        try:
            load_pem_x509_certificates(files[path])
        except ValueError:
            yield f"{path}: not the certificates of authorities in PEM"
    seen: set[str] = set()
    for destination in parsed.destination:
        if destination.name in seen:
            yield f"[[destination]] {destination.name}: stands there twice"
        seen.add(destination.name)


def _account_problems(parsed: Settings, files: dict[str, bytes]) -> Iterator[str]:
    try:
        listed = _accounts(parsed, files).account
    except (SettingsError, UnicodeDecodeError) as error:
        yield str(error)
        return
    for account in listed:
        for address in (account.address, *account.also):
            try:
                parse_mailbox(address)
            except AddressError as error:
                yield f"{parsed.paths.accounts}: {error}"
        if not accounts.check_hash(account.hash):
            yield f"{parsed.paths.accounts}: the hash of {account.address} is not an Argon2id PHC string"


def _password_files(parsed: Settings) -> list[str]:
    routes = [domain.route for domain in parsed.domain] + [relay.route for relay in parsed.relay]
    return [one.password_file for route in routes for one in listed(route) if one.password_file]


def _forwarding(parsed: Settings, files: dict[str, bytes]) -> Forwarding | None:
    if parsed.forwarding is None:
        return None
    return Forwarding.of(parsed.forwarding, files[parsed.forwarding.keys])


def _accounts(parsed: Settings, files: dict[str, bytes]) -> settings.Accounts:
    octets = files.get(parsed.paths.accounts)
    if octets is None:
        return settings.Accounts()
    return settings.parse_accounts(_text(octets), parsed.paths.accounts)


def _text(octets: bytes) -> str:
    try:
        return octets.decode()
    except UnicodeDecodeError as error:
        raise SettingsError(f"not UTF-8 at octet {error.start}") from error
