"""The certificate authority's side door: an account with an ACME directory (RFC 8555), and its refusals in one line."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from acme import errors, messages
from acme.client import ClientNetwork, ClientV2
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from josepy.errors import Error as JoseError
from josepy.jwa import ES256
from josepy.jwk import JWKEC
from requests.adapters import HTTPAdapter

from mxfleet.errors import StateError
from mxfleet.fleet.model import Acme
from mxfleet.keys.authority import private_pem
from mxfleet.keys.vault import Vault

SECONDS = 20
NONCES = 5  # times that a request is sent with another nonce; the library does it once, and Pebble refuses one in twenty
AGENT = "mxfleet"
Failure = (errors.Error, requests.RequestException, JoseError)
"""Everything by which the library says that it did not work."""


@dataclass(slots=True)
class Directory:
    """An authority as one account sees it; `account` is its URL once `register` has run."""

    acme: Acme
    key: JWKEC
    root: Path = Path()
    account: str = ""
    _resource: Any = None
    _refused: dict[str, str] = field(default_factory=dict)

    def client(self) -> ClientV2:
        """A connection of its own, so that orders can be made side by side; raises what `Failure` names."""
        network = Network(self.key, alg=ES256, user_agent=AGENT, timeout=SECONDS)
        network.verify_ssl = str(self.root / self.acme.trust.expanduser()) if self.acme.trust else True  # type: ignore[assignment]
        network.session.hooks["response"] = [self._note]
        if self.acme.address:
            host = urlsplit(self.acme.directory)
            network.session.mount(f"https://{host.hostname}", _At(self.acme.address, host.hostname or ""))
        if self._resource is None:
            self._resource = ClientV2.get_directory(self.acme.directory, network)
        if self.account:
            network.account = messages.RegistrationResource(uri=self.account, body=messages.Registration())
        return ClientV2(self._resource, network)

    def register(self, binding_key: str = "") -> bool:
        """Have an account, the same for the same key however often (RFC 8555 §7.3); whether it was made just now."""
        client = self.client()
        fields: dict[str, Any] = {"terms_of_service_agreed": True}
        if self.acme.contact:
            fields["email"] = self.acme.contact
        if self.acme.binding:
            fields["external_account_binding"] = messages.ExternalAccountBinding.from_data(
                self.key.public_key(), self.acme.binding[0], binding_key, client.directory
            )
        try:
            self.account = client.new_account(messages.NewRegistration.from_data(**fields)).uri
        except errors.ConflictError as known:
            self.account = known.location
            return False
        return True

    def sentence(self, error: Exception) -> str:
        """What went wrong, in one line: who refused what, why, and until when."""
        return sentence(error, self.acme.directory, self._refused.get("retry-after", ""), datetime.now(UTC))

    def _note(self, response: requests.Response, *_: object, **__: object) -> None:
        if not response.ok and "Retry-After" in response.headers:
            self._refused["retry-after"] = response.headers["Retry-After"]


class Network(ClientNetwork):
    """The library's, but an authority that has forgotten several nonces is asked with the next one (RFC 8555 §6.5)."""

    def post(self, *args: Any, **kwargs: Any) -> requests.Response:  # noqa: ANN401 - as the library has it
        """Send it until a nonce is accepted; raises the last refusal."""
        for _ in range(NONCES):
            try:
                return self._post_once(*args, **kwargs)
            except messages.Error as error:
                if error.code != "badNonce":
                    raise
        return self._post_once(*args, **kwargs)


def account_key(vault: Vault, acme: Acme) -> JWKEC:
    """The account's key from the vault, made and sealed there where it has none."""
    name = acme.secret.name
    if not vault.has(name):
        vault.write(name, private_pem(generate_private_key(SECP256R1())))
    key = load_pem_private_key(vault.read(name), password=None)
    if not isinstance(key, EllipticCurvePrivateKey):
        raise StateError(f"the vault's {name} is not a P-256 key")
    return JWKEC(key=key)


def sentence(error: Exception, directory: str, retry_after: str, now: datetime) -> str:
    """Pure; `retry_after` is the header as it came (RFC 9110 §10.2.3), empty where there was none."""
    host = urlsplit(directory).hostname or directory
    match error:
        case errors.ValidationError():
            return "; ".join(_failed(authorization) for authorization in error.failed_authzrs)
        case errors.IssuanceError():
            return sentence(error.error, directory, retry_after, now)
        case messages.Error():
            return f"{host} refuses: {_problem(error)}{_until(retry_after, now)}"
        case errors.TimeoutError():
            return f"{host} did not decide in time"
        case requests.exceptions.SSLError():
            return f"{host}: its HTTPS certificate is not trusted (Acme(trust=...) names another root)"
        case requests.RequestException():
            return f"{host} cannot be reached: {_root(error)}"
    return f"{host}: {type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _failed(authorization: messages.AuthorizationResource) -> str:
    name = authorization.body.identifier.value
    reasons = [c.error for c in authorization.body.challenges if c.error is not None]
    why = "; ".join(_problem(reason) for reason in reasons) or "no reason was given"
    return f"the proof by DNS (_acme-challenge.{name}) failed: {why}"


def _problem(error: messages.Error) -> str:
    words = {"rateLimited": "rate limit", "caa": "CAA records of the name forbid it"}
    detail = " ".join((error.detail or error.title or "").split())
    code = error.code or error.typ
    parts = [f"{words.get(code, code)}: {detail}" if detail else words.get(code, code)]
    parts += [_problem(sub) for sub in error.subproblems or ()]
    return "; ".join(parts)


def _until(retry_after: str, now: datetime) -> str:
    if not retry_after:
        return ""
    try:
        until = now + timedelta(seconds=int(retry_after))
    except ValueError:
        try:
            until = parsedate_to_datetime(retry_after)
        except ValueError:
            return ""
    return f" (not before {until:%Y-%m-%d %H:%M} UTC)"


def _root(error: BaseException) -> str:
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__ or error
    return " ".join(str(error).split()) or type(error).__name__


class _At(HTTPAdapter):
    """Reaches one host at a given address, under its own name: what a laboratory has no public DNS for."""

    def __init__(self, address: str, host: str) -> None:
        self._address, self._host = address, host
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401
        super().init_poolmanager(
            *arguments, **options, server_hostname=self._host, assert_hostname=self._host
        )

    def send(self, request: requests.PreparedRequest, *arguments: Any, **options: Any) -> requests.Response:  # noqa: ANN401
        parts = urlsplit(request.url or "")
        request.headers["Host"] = str(parts.netloc)
        place = f"[{self._address}]" if ":" in self._address else self._address
        request.url = str(parts._replace(netloc=f"{place}:{parts.port or 443}").geturl())
        return super().send(request, *arguments, **options)


Presented = Mapping[str, str]
"""By host name: why its proof is not on all name servers; empty where it is."""
