"""The local validating resolver, asked asynchronously: wire, channel, cache, client; routing for the courier."""

from mxfleet.mxd.resolver.cache import Verdicts
from mxfleet.mxd.resolver.client import PATIENCE, Resolver, place
from mxfleet.mxd.resolver.routing import RoutingResolver

__all__ = ["PATIENCE", "Resolver", "RoutingResolver", "Verdicts", "place"]
