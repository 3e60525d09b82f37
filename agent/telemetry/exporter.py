"""A scrape: the runtime's usage is read, and everything known is put into Prometheus' words."""

import asyncio
from collections.abc import Iterator, Mapping

import prometheus_client
from prometheus_client import core, exposition, registry

from agent.kit import clock
from agent.runtime import api, disk, errors
from agent.telemetry import metrics, samples, tally

PATIENCE = 5.0
"""Seconds that a scrape waits for the runtime; Prometheus itself gives up after ten."""


class Exporter(registry.Collector):
    """Renders scrapes. Has a registry of its own: nothing is global."""

    def __init__(self, known: tally.Tally, runtime: api.Runtime, time: clock.Clock) -> None:
        """Take what is known, and the runtime to ask for usage."""
        self._known = known
        self._runtime = runtime
        self._clock = time
        self._began = time.now()
        self._space: disk.Space | None = None
        self._usage: Mapping[str, api.ContainerStats] = {}
        self._registry = prometheus_client.CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        prometheus_client.ProcessCollector(registry=self._registry)

    async def render(self, accept: str) -> tuple[bytes, str]:
        """Give a scrape and its content type, in the format that an ``Accept`` header asks for."""
        try:
            async with asyncio.timeout(PATIENCE):
                self._space = await self._runtime.disk.space()
                self._usage = await self._runtime.containers.stats()
        except (errors.RuntimeFailure, TimeoutError):
            self._usage = {}  # the rest of the metrics tells why
        encoder, content_type = exposition.choose_encoder(accept)
        return encoder(self._registry), content_type

    def collect(self) -> Iterator[core.Metric]:
        """Give every family that has samples, in the table's order."""
        found: dict[str, list[samples.Sample]] = {}
        moments = samples.Moments(self._began, self._clock.now())
        seen = samples.Seen(self._usage, self._space)
        for sample in samples.everything(self._known, seen, self._runtime.features.name, moments):
            found.setdefault(sample[0], []).append(sample)
        for metric in metrics.TABLE:
            if metric.type is metrics.Type.HISTOGRAM:
                yield self._histogram(metric)
            elif metric.name in found:
                yield _family(metric, found[metric.name])

    def _histogram(self, metric: metrics.Metric) -> core.Metric:
        family = core.HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
        for labels, histogram in self._known.durations[metric.name].items():
            family.add_metric(labels, histogram.buckets(), histogram.total)
        return family


def _family(metric: metrics.Metric, found: list[samples.Sample]) -> core.Metric:
    family: core.CounterMetricFamily | core.GaugeMetricFamily
    if metric.type is metrics.Type.COUNTER:
        family = core.CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
    else:
        family = core.GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
    for _, labels, value in found:
        family.add_metric(labels, value)
    return family
