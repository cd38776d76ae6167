"""A worker's call-ahead put together: the next hops as the courier knows them, and connections of its own."""

from mxfleet.mxd.call_ahead import CallAhead
from mxfleet.mxd.deliver import Deliverer
from mxfleet.mxd.desk import Desk
from mxfleet.mxd.resolver import Resolver, RoutingResolver
from mxfleet.mxd.route import Router
from mxfleet.mxd.security import Security


class AskingAhead:
    """Of one worker; `call_ahead` is None where no domain wants it."""

    def __init__(self, desk: Desk) -> None:
        """To be made inside a running loop."""
        settings = desk.settings
        self.call_ahead: CallAhead | None = None
        self._deliverer: Deliverer | None = None
        self._resolver: Resolver | None = None
        if not any(domain.call_ahead for domain in settings.domain):
            return
        self._resolver = Resolver(settings.delivery.resolver)
        router = Router(settings, RoutingResolver(self._resolver), desk.configuration.passwords)
        security = Security(settings.sending, settings.destination, self._resolver)
        self._deliverer = Deliverer(desk, router, security)
        self.call_ahead = CallAhead(settings.call_ahead, self._deliverer.probe, desk.log)

    async def close(self) -> None:
        """Ask nobody any more, and let go of the connections."""
        if self.call_ahead is not None:
            await self.call_ahead.close()
        if self._deliverer is not None:
            await self._deliverer.close()
        if self._resolver is not None:
            await self._resolver.close()
