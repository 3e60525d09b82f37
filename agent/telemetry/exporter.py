"""A scrape: the runtime's usage is read, and all samples are rendered in Prometheus' formats."""

import asyncio
import collections
import contextlib
import dataclasses
from collections.abc import Iterator

import prometheus_client
from prometheus_client import exposition as client_exposition
from prometheus_client.openmetrics import exposition as client_open_metrics

from agent import errors
from agent.kit import clock, frozen, tasks
from agent.runtime import api
from agent.telemetry import compression, exposition, families, metrics, metrics_sink, samples

TIMEOUT = 5.0
"""Seconds that a scrape waits for the runtime; Prometheus itself gives up after ten."""


@frozen.value
class Scrape:
    """What is answered to a scraper."""

    body: bytes
    content_type: str
    content_encoding: str
    """``gzip``, or empty where the body is as it is."""


class Exporter:
    """Renders scrapes. Has a registry of its own: nothing is global."""

    def __init__(self, sink: metrics_sink.MetricsSink, runtime: api.Runtime, time: clock.Clock) -> None:
        """Take the sink that collects what is counted, and the runtime to ask for usage."""
        self._sink = sink
        self._runtime = runtime
        self._clock = time
        self._began = time.now()
        self._process = prometheus_client.CollectorRegistry(auto_describe=False)
        prometheus_client.ProcessCollector(registry=self._process)

    async def render(self, accept: str, accept_encoding: str) -> Scrape:
        """Return a scrape in the format and the encoding that the headers of these names ask for.

        It is rendered and compressed in a thread, from a copy of the sink: a thousand containers have sixty thousand
        series.
        """
        usage = samples.RuntimeUsage({})  # where the runtime does not answer, the other metrics say why
        with contextlib.suppress(errors.Failure, TimeoutError):
            async with asyncio.timeout(TIMEOUT):
                usage = samples.RuntimeUsage({}, await self._runtime.disk.space(), await self._runtime.machine())
                usage = dataclasses.replace(usage, usage=await self._runtime.containers.stats())
        sink, moments = self._sink.snapshot(), samples.Moments(self._began, self._clock.now())
        writer = exposition.Writer(open_metrics=exposition.is_open_metrics(accept))
        content_type = exposition.OPEN_METRICS_TYPE if writer.open_metrics else exposition.TEXT_TYPE

        def rendered() -> Scrape:
            body = self._rendered(writer, sink, usage, moments)
            if compression.is_gzip_accepted(accept_encoding):
                return Scrape(compression.gzipped(body), content_type, compression.GZIP)
            return Scrape(body, content_type, "")

        return await tasks.in_thread(rendered)

    def _rendered(
        self,
        writer: exposition.Writer,
        sink: metrics_sink.MetricsSink,
        usage: samples.RuntimeUsage,
        moments: samples.Moments,
    ) -> bytes:
        """Return the text of every family that has samples, in the table's order, followed by our own process's."""
        points: dict[str, list[exposition.Point]] = collections.defaultdict(list)
        for name, labels, value in samples.all_samples(sink, usage, self._runtime.features.name, moments):
            points[name].append((labels, value))
        parts: list[str] = []
        for metric in metrics.TABLE:
            if metric.type is families.Type.HISTOGRAM:
                parts.append(writer.histogram(metric, _buckets(sink, metric)))
            elif metric.name in points:
                parts.append(writer.family(metric, points.pop(metric.name)))
        encoder = client_open_metrics if writer.open_metrics else client_exposition
        process: bytes = encoder.generate_latest(self._process)  # ends as the format ends
        return "".join(parts).encode() + process


def _buckets(sink: metrics_sink.MetricsSink, metric: families.Metric) -> Iterator[exposition.Buckets]:
    for labels, histogram in sink.durations.get(metric.name, {}).items():
        yield labels, histogram.buckets(), histogram.total
