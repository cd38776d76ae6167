"""`mxd probe`: one look at a mail host from this node, as its courier would see it, and a little slower."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, Literal

import msgspec
from cryptography import x509

from mxfleet.errors import ServiceError
from mxfleet.mail.dane_chain import match
from mxfleet.mail.mta_sts import Asked, Cached, Discovery, Fetch, Told, discover
from mxfleet.mail.mta_sts_policy import NO_RECORD, Policy
from mxfleet.mail.names import canonical_name
from mxfleet.mail.questions import Answer, Exchange, Question, RecordType
from mxfleet.mail.sending_tls import Rule
from mxfleet.mxd import policies
from mxfleet.mxd.outbound import handshake_words
from mxfleet.mxd.probe_dialogue import Conversation, Notebook, connect
from mxfleet.mxd.probe_report import Report, TlsFacts
from mxfleet.mxd.resolver import Resolver
from mxfleet.mxd.route import Hop, is_address
from mxfleet.mxd.security import Security
from mxfleet.mxd.settings import Settings
from mxfleet.mxd.tls import chain_of

Way = Literal["starttls", "tls", "plain"]
CONTROL: Final = (443, 587, 80, 53)  # ports of a host whose own one keeps silent
ADDRESSES: Final = 4  # of a host
PATIENCE: Final = 3.0  # seconds for one of them


class Wish(msgspec.Struct, frozen=True):
    """What to look at: `host` may be a mail domain, `port` 0 for the way's own, `to` a recipient to ask for."""

    host: str
    port: int = 0
    way: Way = "starttls"
    to: str = ""


class Probe:
    """One probe, from one node."""

    def __init__(self, settings: Settings, wish: Wish) -> None:
        self._settings = settings
        self._wish = wish
        self._resolver = Resolver(settings.delivery.resolver)
        self._security = Security(settings.sending, settings.destination, self._resolver, self._policy)
        self._notebook = Notebook()
        self._rule = Rule("opportunistic")
        port = wish.port or (465 if wish.way == "tls" else settings.delivery.port)
        self.report = Report(host=canonical_name(wish.host) or wish.host, port=port, node=settings.node.name)
        self.report.lines = self._notebook.lines

    async def run(self) -> Report:
        """Look; never raises for what other hosts, the DNS or the network do."""
        try:
            await self._name_host()
            await self._name_rule()
            opened = await self._reach(await self._addresses(self.report.host))
            if opened is not None:
                await self._converse(opened)
        except ServiceError as error:
            self._notebook.write("note", str(error))
        finally:
            await self._resolver.close()
        return self.report

    # ── what the DNS says ───────────────────────────────────────────────────────────────────────────────

    async def _name_host(self) -> None:
        """A mail domain stands for its best MX host; the domain of `to` is whose policy counts."""
        report = self.report
        report.domain = canonical_name(self._wish.to.rpartition("@")[2])
        if is_address(report.host):
            return
        response = await self._resolver.ask(Question(report.host, "MX"))
        exchanges = (
            [record for record in response.records if isinstance(record, Exchange)]
            if isinstance(response, Answer)
            else []
        )
        if exchanges and not self._wish.port:
            best = min(exchanges, key=lambda exchange: exchange.preference)
            report.domain = report.domain or report.host
            self._notebook.write("note", f"{report.host} is a mail domain: its best host is {best.host}")
            report.host = canonical_name(best.host)

    async def _name_rule(self) -> None:
        """What the courier would ask of this host."""
        report = self.report
        hop = Hop(report.host, report.port)
        domains = [report.domain] if report.domain else [report.host]
        self._rule = await self._security.rule(domains, hop, configured=False)
        report.rule = self._rule.policy
        report.dane = self._rule.reason if self._rule.policy == "DANE" else ""
        if self._rule.refusal is not None:
            self._notebook.write("note", f"the exchange would not speak to it: {self._rule.refusal}")

    async def _policy(self, domain: str) -> Policy | None:
        """The policy that the service would go by: the one that it keeps, where no newer one is announced."""
        cached = self._kept(domain)
        check = discover(domain, cached, datetime.now(UTC).timestamp())
        found = Discovery(None)
        with contextlib.suppress(StopIteration):
            asked = next(check)
            while True:
                try:
                    asked = check.send(await self._tell(asked))
                except StopIteration as end:
                    found = end.value
                    raise
        self.report.mta_sts = _words(found)
        return found.cached.policy if found.cached else None

    def _kept(self, domain: str) -> Cached | None:
        """What the service keeps of a domain; it is only looked at."""
        try:
            return policies.kept(policies.place(self._settings.paths.spool)).get(domain)
        except (OSError, msgspec.MsgspecError) as error:
            self._notebook.write("note", f"the service's kept MTA-STS policies cannot be read: {error}")
            return None

    async def _tell(self, asked: Asked) -> Told:
        if isinstance(asked, Fetch):
            return await self._security.fetch(asked.host, asked.path)
        return await self._resolver.ask(asked)

    async def _addresses(self, host: str) -> list[str]:
        if is_address(host):
            return [host]
        kinds: tuple[RecordType, ...] = ("AAAA", "A")
        found: list[str] = []
        for kind in kinds:
            response = await self._resolver.ask(Question(host, kind))
            found += [str(record) for record in response.records] if isinstance(response, Answer) else []
        return found

    # ── the connection ──────────────────────────────────────────────────────────────────────────────────

    async def _reach(self, addresses: Sequence[str]) -> socket.socket | None:
        """The first address that lets us in; where one keeps silent, whether the host is there at all."""
        if not addresses:
            raise ServiceError(f"{self.report.host} has no address")
        some = addresses[:ADDRESSES]
        found = await asyncio.gather(*(connect(a, self.report.port, self._source(a)) for a in some))
        self.report.tried += [tried for tried, _ in found]
        opened = [one for _, one in found if one is not None]
        for spare in opened[1:]:
            spare.close()
        if opened:
            return opened[0]
        silent = next((tried for tried in self.report.tried if tried.port == "filtered"), None)
        if silent is not None:
            self.report.control = await self._control(silent.address)
        return None

    async def _control(self, address: str) -> str:
        """Another port of the same host that answers, be it with a refusal."""
        ports = [port for port in CONTROL if port != self.report.port]
        found = await asyncio.gather(*(connect(address, p, self._source(address), PATIENCE) for p in ports))
        for _, opened in found:
            if opened is not None:
                opened.close()
        answers = ((port, tried.port) for port, (tried, _) in zip(ports, found, strict=True))
        return next((f"port {port} is {said}" for port, said in answers if said in ("open", "refused")), "")

    def _source(self, address: str) -> str:
        node = self._settings.node
        return node.address6 if ":" in address else node.address4

    # ── the dialogue ────────────────────────────────────────────────────────────────────────────────────

    async def _converse(self, opened: socket.socket) -> None:
        """As far as it goes; a certificate that is not believed is looked at all the same, on a second connection."""
        trusting = self._security.context(Rule("verify", trust=self._rule.trust))
        try:
            await self._speak(opened, trusting)
        except _NotBelieved as error:
            self._notebook.write("note", f"{error.reason}: once more, believing anything")
            address = self.report.opened.address if self.report.opened else ""
            tried, again = await connect(address, self.report.port, self._source(address))
            self.report.tried.append(tried)
            if again is not None:
                await self._speak(again, self._security.context(Rule("encrypt")), error.reason)

    async def _speak(self, opened: socket.socket, context: ssl.SSLContext, disbelief: str = "") -> None:
        conversation = await Conversation.over(opened, self._notebook)
        try:
            if self._wish.way == "tls":
                await self._handshake(conversation, context, disbelief)
            await self._greeting(conversation)
            await self._hello(conversation)
            if self._wish.way == "starttls" and "STARTTLS" in self.report.offered:
                await self._said("starttls", conversation, "STARTTLS")
                if self.report.code == 220:
                    await self._handshake(conversation, context, disbelief)
                    await self._hello(conversation)
            if self._wish.to:
                await self._envelope(conversation)
            await conversation.command("QUIT")
        finally:
            await conversation.close()

    async def _greeting(self, conversation: Conversation) -> None:
        self.report.stage = "greeting"
        greeting = await conversation.reply()
        self.report.code = greeting.code
        name = canonical_name((greeting.text.split() or [""])[0])
        self.report.greeted_as = name
        if name and "." in name:
            self.report.greeted_at = tuple(await self._addresses(name))

    async def _hello(self, conversation: Conversation) -> None:
        await self._said("hello", conversation, f"EHLO {self._settings.node.hostname}")

    async def _envelope(self, conversation: Conversation) -> None:
        """As far as the recipient, with the null reverse-path; nothing is sent."""
        await self._said("mail", conversation, "MAIL FROM:<>")
        if self.report.code == 250:
            await self._said("rcpt", conversation, f"RCPT TO:<{self._wish.to}>")

    async def _said(self, stage: str, conversation: Conversation, line: str) -> None:
        self.report.stage = stage
        reply = await conversation.command(line)
        self.report.code = reply.code
        if stage == "hello":
            self.report.offered = tuple(
                text.split()[0].upper() for text in reply.text.split("\n")[1:] if text.strip()
            )
        if not reply.positive:
            with contextlib.suppress(ServiceError):
                await conversation.command("QUIT")
            raise ServiceError("it went no further")

    async def _handshake(self, conversation: Conversation, context: ssl.SSLContext, disbelief: str) -> None:
        self.report.stage = "handshake"
        name = self._rule.server_name or self.report.host
        try:
            shown = await conversation.start_tls(context, name)
        except ssl.SSLCertVerificationError as error:
            raise _NotBelieved(error.verify_message.rstrip(".")) from error
        except (OSError, ssl.SSLError) as error:
            raise ServiceError(handshake_words(error)) from error
        self.report.tls = self._facts(shown, disbelief)
        self._notebook.write("note", f"TLS: {self.report.tls.version}, {self.report.tls.cipher}")

    def _facts(self, shown: ssl.SSLObject, disbelief: str) -> TlsFacts:
        chain = chain_of(shown)
        own = x509.load_der_x509_certificate(chain[0])
        try:
            names = own.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            given = tuple(names.get_values_for_type(x509.DNSName))
        except (x509.ExtensionNotFound, ValueError):
            given = ()
        cipher = shown.cipher()
        dane = None
        if self._rule.level == "dane":
            dane = match(self._rule.records, chain, self._rule.names, datetime.now(UTC)).reason
        return TlsFacts(
            version=shown.version() or "",
            cipher=cipher[0] if cipher else "",
            names=given[:20],
            issuer=own.issuer.rfc4514_string()[:200],
            until=own.not_valid_after_utc.isoformat(),
            authority=disbelief,
            dane=dane,
        )


def _words(found: Discovery) -> str:
    """Which policy applies and until when, or why none does; "" where the domain has none."""
    if found.cached is None:
        return "" if found.problem == NO_RECORD else found.problem
    policy, end = found.cached.policy, found.cached.fetched + found.cached.policy.max_age
    until = datetime.fromtimestamp(int(end), UTC).strftime("%Y-%m-%d %H:%M UTC")
    whence = "not kept by the service yet" if found.fetched else "kept by the service"
    problem = f"; now: {found.problem}" if found.problem else ""
    return f"{policy.mode}, for {', '.join(policy.mx[:5])}, until {until} ({whence}{problem})"


class _NotBelieved(Exception):
    """The certificate is of no trusted authority, or for another name."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def look(probe: Probe) -> Report:
    """The whole probe, on a loop of its own."""
    return asyncio.run(probe.run())
