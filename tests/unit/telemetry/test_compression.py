"""Which ``Accept-Encoding`` gets gzip, and what it gets."""

import gzip

import pytest

from agent.telemetry import compression

PAGE = b'container_memory_rss{id="/trimtab-0/a",name="web"} 4096.0\n' * 5000


@pytest.mark.parametrize(
    "header",
    [
        "gzip",
        "GZip",
        "x-gzip",
        "*",
        "gzip, deflate, br",
        "deflate;q=0.5 , gzip ; q=0.001",
        "gzip;q=1.000",
        "gzip;q=1.",
        "br;q=1, gzip;q=0.8, *;q=0.1",
        "gzip;level=9;q=0.5",
        "identity;q=0.5, gzip;q=0.5",
        "identity;q=0, *",
    ],
)
def test_accept__allows_gzip__is_compressed(header: str) -> None:
    assert compression.is_gzip_accepted(header)


@pytest.mark.parametrize(
    "header",
    [
        "",
        ",",
        ";;q",
        "identity",
        "br, deflate",
        "gzip;q=0",
        "gzip;q=0.000",
        "*, gzip;q=0",
        "*;q=0",
        "gzip;q=0.5, identity",
        "gzip;q=0.5, identity;q=0.6",
        "gzip;q=nan",
        "gzip;q=inf",
        "gzip;q=-1",
        "gzip;q=1.5",
        "gzip;q=2",
        "gzip;q=0.1234",
        "gzip;q=0.\u0665",
        "gzip;q=1e-1",
        "gzip;q=",
        "gzipped",
    ],
)
def test_accept__does_not_allow_gzip_or_is_malformed__is_plain(header: str) -> None:
    assert not compression.is_gzip_accepted(header)


def test_gzipped__read_by_others__is_the_body_and_much_smaller() -> None:
    compressed = compression.gzipped(PAGE)
    assert gzip.decompress(compressed) == PAGE
    assert len(compressed) < len(PAGE) / 20


def test_gzipped__the_same_body__is_the_same_without_a_time_in_its_header() -> None:
    compressed = compression.gzipped(PAGE)
    assert compressed == compression.gzipped(PAGE)
    assert compressed[4:8] == bytes(4)
