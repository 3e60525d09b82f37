"""Quantities and durations by the tables of Kubernetes' and Go's own tests."""

import fractions
import time

import pytest

from agent.kit import quantities

Ki, Mi, Gi, Ti, Pi, Ei = (1024**power for power in range(1, 7))


@pytest.mark.parametrize(
    ("text", "expected"),
    [  # k8s.io/apimachinery/pkg/api/resource/quantity_test.go, TestQuantityParse
        *[(f"0{suffix}", 0) for suffix in ("", "n", "u", "m", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "k", "M", "G", "E")],
        *[("1n", "1/1000000000"), ("1u", "1/1000000"), ("1m", "1/1000"), ("1", 1), ("1k", 1000), ("1M", 10**6)],
        *[("1G", 10**9), ("1T", 10**12), ("1P", 10**15), ("1E", 10**18)],
        *[("1Ki", Ki), ("1Mi", Mi), ("1Gi", Gi), ("1Ti", Ti), ("1Pi", Pi), ("1Ei", Ei), ("8Ki", 8192), ("7Mi", 7 * Mi)],
        *[("1e0", 1), ("1E0", 1), ("1e3", 1000), ("1E3", 1000), ("1e-3", "1/1000"), ("1E-6", "1/1000000")],
        *[("1E+5", 100_000), ("12.34E+5", 1_234_000), ("1.1E-6", "11/10000000"), ("100.035k", 100_035)],
        *[("1.", 1), (".5", "1/2"), (".5Mi", Mi // 2), ("+.5Gi", Gi // 2), ("0.5Mi", Mi // 2), ("-.3k", -300)],
        *[("+12.34", "1234/100"), ("-12.34", "-1234/100"), ("-12.34k", -12340), ("+1Ki", 1024), ("-1Ki", -1024)],
        *[("12.34", "1234/100"), ("0.5Ki", 512), ("0005Ki", 5120), ("0.001", "1/1000"), ("0.0005k", "1/2")],
        ("9007199254740993", 9007199254740993),
    ],
)
def test_quantity__as_kubernetes_reads_it(text: str, expected: int | str) -> None:
    assert quantities.quantity(text) == fractions.Fraction(expected)


@pytest.mark.parametrize(
    "text",
    [  # the same, its errors
        *[
            "",
            "1.1.M",
            "1+1.0M",
            "0.1mi",
            "0.1am",
            "aoeu",
            ".5i",
            "1i",
            "-3.01i",
            "-3.01e-",
            "1e",
            "1 ",
            " 1",
            "+",
            ".",
        ],
        *[
            "trailing whitespace is forbidden ",
            "1K",
            "1ki",
            "1mi",
            "1KiB",
            "1B",
            "0x10",
            "1_000",
            "1,5",
            "--1",
            "1e1.5",
        ],
        *["\u0661", "1\n", "NaN", "inf", "1e3Mi", "1Mi3", "1kk", "9" * 101],
    ],
)
def test_quantity__anything_else__is_none(text: str) -> None:
    assert quantities.quantity(text) is None
    with pytest.raises(ValueError, match="a quantity of bytes like 64Mi, 1G or 1048576"):
        quantities.size(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *[("1.001M", 1_001_000), ("9007199254740993", 9007199254740993), ("0.1Ki", 103), ("1.5", 2), ("400m", 1)],
        *[
            ("1n", 1),
            ("1e-50", 1),
            ("0e99", 0),
            ("-0", 0),
            ("1Ei", 2**60),
            ("1E3", 1000),
            ("1152921504606846975", 2**60 - 1),
        ],
        *[("1.0000001Gi", 1073741932), ("64Mi", 64 * Mi), ("1e-999999999", 1), ("0e999999999", 0)],
    ],
)
def test_size__is_exact_and_rounds_up_to_whole_bytes(text: str, expected: int) -> None:
    assert quantities.size(text) == expected


@pytest.mark.parametrize("text", ["1.1Ei", "2E", "1e19", "1e999999999", "1" + "0" * 99])
def test_size__more_than_anything_has__is_refused_soon(text: str) -> None:
    began = time.monotonic()
    with pytest.raises(ValueError, match="1024Pi at most"):
        quantities.size(text)
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("text", ["-1", "-1Ki", "-.5", "-1n"])
def test_size__less_than_nothing__is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="nothing at least"):
        quantities.size(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [*[("0.5", 500), ("500m", 500), ("2", 2000), (".1", 100), ("0.0001", 1), ("1u", 1), ("1e-1", 100), ("0.29", 290)]],
)
def test_thousandths__are_exact_and_round_up(text: str, expected: int) -> None:
    assert quantities.thousandths(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [  # Go's time_test.go, parseDurationTests
        *[("0", 0), ("5s", 5), ("30s", 30), ("1478s", 1478), ("+5s", 5), ("-0", 0), ("+0", 0), ("5.0s", 5)],
        *[("5.6s", 5.6), ("5.s", 5), (".5s", 0.5), ("1.0s", 1), ("1.00s", 1), ("1.004s", 1.004), ("1.0040s", 1.004)],
        *[
            ("100.00100s", 100.001),
            ("10ns", 1e-8),
            ("11us", 1.1e-5),
            ("12µs", 1.2e-5),
            ("12μs", 1.2e-5),
            ("13ms", 0.013),
        ],
        *[("14s", 14), ("15m", 900), ("16h", 57600), ("3h30m", 12600), ("10.5s4m", 250.5), ("2m3.4s", 123.4)],
        *[
            ("1h2m3s4ms5us6ns", 3723.004005006),
            ("39h9m14.425s", 140954.425),
            ("0.3333333333333333333h", 1200),
            ("1s1h", 3601),
        ],
        *[("0.100000000000000000000h", 360), ("1m1m", 120), ("-0s", 0)],
    ],
)
def test_seconds__as_go_reads_it(text: str, expected: float) -> None:
    assert quantities.seconds(text) == pytest.approx(expected, abs=2e-9)


@pytest.mark.parametrize(
    "text",
    [  # the same, its errors
        *[
            "",
            "3",
            "-",
            "s",
            ".",
            "-.",
            ".s",
            "+.s",
            "1d",
            "\x85\x85",
            "\uffff",
            "hello \uffff world",
            "1 s",
            " 1s",
            "1S",
        ],
        *["1sec", "1,5s", "1e3s", "\u0661s", "1m 30s", "--1s", "1s-1s", "1w", "0x1s"],
    ],
)
def test_seconds__anything_else__is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a duration like 500ms, 10s or 1m30s"):
        quantities.seconds(text)


def test_seconds__too_long_and_too_short() -> None:
    with pytest.raises(ValueError, match="ten years at most"):
        quantities.seconds("9" * 90 + "h")
    with pytest.raises(ValueError, match="nothing at least"):
        quantities.seconds("-1ns")
    assert quantities.seconds("2d12h", days=True) == 216_000
