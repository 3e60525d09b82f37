"""Both formats, read back by the client library's own parsers, are what the library writes of the same."""

import pytest
from prometheus_client import core, parser, registry
from prometheus_client import exposition as client
from prometheus_client.openmetrics import exposition as open_metrics_client
from prometheus_client.openmetrics import parser as open_metrics_parser

from agent.telemetry import exposition, families

COUNTER = families.Metric(
    "a_total", families.Type.COUNTER, ("name", "image"), 'Says \\ and "more"\nthan that.', "a test"
)
GAUGE = families.Metric("b_bytes", families.Type.GAUGE, (), "Plain.", "a test")
HISTOGRAM = families.Metric("c_seconds", families.Type.HISTOGRAM, ("kind",), "Durations.", "a test")
POINTS = [(("web", 'quo"te'), 1.0), (("d\\b", "new\nline"), 12345678901.5)]
GAUGES = [((), float("inf"))]
BUCKETS = [(("stop",), [("0.1", 1.0), ("+Inf", 3.0)], 0.75)]


class Library(registry.Collector):
    """The same families by the client library."""

    def collect(self):
        """Yield the same as the constants above say."""
        counter = core.CounterMetricFamily(COUNTER.name, COUNTER.help, labels=COUNTER.labels)
        for labels, value in POINTS:
            counter.add_metric(labels, value)
        gauge = core.GaugeMetricFamily(GAUGE.name, GAUGE.help, labels=GAUGE.labels)
        for labels, value in GAUGES:
            gauge.add_metric(labels, value)
        histogram = core.HistogramMetricFamily(HISTOGRAM.name, HISTOGRAM.help, labels=HISTOGRAM.labels)
        for labels, buckets, total in BUCKETS:
            histogram.add_metric(labels, buckets, total)
        yield from (counter, gauge, histogram)


def exposition_text(*, open_metrics: bool) -> str:
    writer = exposition.Writer(open_metrics=open_metrics)
    return writer.family(COUNTER, POINTS) + writer.family(GAUGE, GAUGES) + writer.histogram(HISTOGRAM, BUCKETS)


def of_the_library(encoder) -> str:
    theirs = registry.CollectorRegistry(auto_describe=False)
    theirs.register(Library())
    return encoder.generate_latest(theirs).decode()


def test_text__is_what_the_library_writes_of_the_same() -> None:
    ours = list(parser.text_string_to_metric_families(exposition_text(open_metrics=False)))
    assert ours == list(parser.text_string_to_metric_families(of_the_library(client)))
    assert [len(family.samples) for family in ours] == [2, 1, 4]


def test_open_metrics__is_what_the_library_writes_of_the_same() -> None:
    ours = exposition_text(open_metrics=True) + "# EOF\n"
    families = list(open_metrics_parser.text_string_to_metric_families(ours))
    assert families == list(open_metrics_parser.text_string_to_metric_families(of_the_library(open_metrics_client)))
    assert [len(family.samples) for family in families] == [2, 1, 4]


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", True),
        ("text/plain", False),
        ("*/*", False),
        ("", False),
    ],
)
def test_accept__says_which_format(accept: str, expected: bool) -> None:
    assert exposition.is_open_metrics(accept) is expected
