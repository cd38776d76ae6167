"""The numbers of `counters` as Prometheus reads them.

Loaded when somebody asks: its library takes 4 MB in every process.
"""

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from mxfleet.mxd.counters import COUNTERS, GAUGES, Shared


def exposition(shared: Shared, further: Mapping[str, tuple[str, float]]) -> bytes:
    """All numbers in Prometheus's text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(shared, further))
    return generate_latest(registry)


class _Collector:
    def __init__(self, shared: Shared, further: Mapping[str, tuple[str, float]]) -> None:
        self._shared = shared
        self._further = further

    def collect(self) -> Iterator[Metric]:
        for name, text in COUNTERS.items():
            yield CounterMetricFamily(f"mxd_{name}", text, value=self._shared.total(name))
        for name, text in GAUGES.items():
            yield GaugeMetricFamily(f"mxd_{name}", text, value=self._shared.total(name))
        for name, (text, value) in self._further.items():
            yield GaugeMetricFamily(f"mxd_{name}", text, value=value)
