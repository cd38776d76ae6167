"""`mxfleet tls renew`: now, with the next key where every name server shows it, or with the key that is served."""

from collections.abc import Callable

from mxfleet.cli.certifying import in_use
from mxfleet.cli.tending import Live, run_until_quiet
from mxfleet.errors import StateError
from mxfleet.keys.facts import RotationWished
from mxfleet.keys.ledger import writing
from mxfleet.keys.lifecycle import KeyState
from mxfleet.keys.needs import certificate_names, hosts_of
from mxfleet.keys.renewal import first_of
from mxfleet.keys.sight import Observation
from mxfleet.keys.state import TLS_WISH, State
from mxfleet.keys.tending import Tended, certify

READY = (KeyState.STANDBY, KeyState.READY)


def renew_with_next(live: Live, names: tuple[str, ...], wait: float, say: Callable[[str], None]) -> Tended:
    """Wish the renewals and take the steps that are due; raises StateError for a name whose next key is not visible."""
    chosen = _chosen(live, names)
    with _writing(live) as writer:
        _refuse_unseen(live, writer.state, chosen)
        writer.append(
            *(
                RotationWished(owner=name, algorithm=TLS_WISH)
                for name in chosen
                if (name, TLS_WISH) not in writer.state.wishes
            )
        )
    return run_until_quiet(live, "mxfleet tls renew", wait, say)


def renew_with_same(live: Live, names: tuple[str, ...]) -> list[str]:
    """Another certificate for the key that is served; raises StateError with the authority's first refusal."""
    chosen = _chosen(live, names)
    with _writing(live) as writer:
        keys = [key for key in in_use(writer.state) if key.owner in chosen]
        refused = certify(writer, live, keys)
        if refused:
            raise StateError(next(iter(refused.values())))
    return [key.owner for key in keys]


def _writing(live: Live):  # type: ignore[no-untyped-def]  # noqa: ANN202
    return writing(live.root / live.fleet.state_directory, live.clock, "mxfleet tls renew", live.fleet.name)


def _chosen(live: Live, names: tuple[str, ...]) -> tuple[str, ...]:
    known = certificate_names(live.fleet)
    if strange := [name for name in names if name not in known]:
        raise StateError(
            f"fleet {live.fleet.name!r} has no host {strange[0]}", hint=f"its names are {', '.join(known)}"
        )
    if live.fleet.acme is None:
        raise StateError(
            f"fleet {live.fleet.name!r} names no authority to ask",
            hint="acme=Acme(...) in the inventory, or mxfleet tls import NAME --chain FILE --key FILE",
        )
    return names or known


def _refuse_unseen(live: Live, state: State, names: tuple[str, ...]) -> None:
    """Refuse by name where the next key's record is not on every server: a sender could find a key that it does not know."""
    seen = Observation((), live.dissent(state))
    bound = hosts_of(live.fleet).bound
    for name in (name for name in names if name in bound):
        key = first_of(state.tls(name))
        hint = "mxfleet tend, and mxfleet tls status; or --same-key, which changes no record"
        if key is None:
            raise StateError(f"{name} is not renewed: it has no next key in DNS yet", hint=hint)
        if not seen.shown(key):
            servers = "; ".join(seen.dissent.get(key.id, ()))
            raise StateError(
                f"{name} is not renewed: the TLSA record of its next key {key.label} is not visible: {servers}",
                hint=hint,
            )
        if key.state not in READY:
            raise StateError(
                f"{name} is not renewed: its next key {key.label} is {key.state} since {key.since:%Y-%m-%d %H:%M:%S} UTC, "
                "and senders may still remember TLSA records without it",
                hint=hint,
            )
