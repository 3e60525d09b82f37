"""Figures with any number of rivals, and the table of them."""

import json

from tests.benchmarks import figures

OLD, NEW = "Docker 20.10", "Docker 26.1"
BOTH = figures.Figure("start", "ms", (20.0, 10.0, 12.0), {OLD: (120.0, 90.0, 96.0), NEW: (60.0,)}, "8x")


def test_figure__several_rivals__each_has_its_median_and_its_ratio_to_ours() -> None:
    assert BOTH.median == 12.0
    assert BOTH.medians == {OLD: 96.0, NEW: 60.0}
    assert BOTH.ratios == {OLD: 8.0, NEW: 5.0}


def test_figure__ours_is_nothing__has_no_ratio() -> None:
    assert figures.Figure("CPU at rest", "%", (0.0,), {OLD: (1.0,)}).ratios == {}


def test_document__holds_all_samples_and_what_follows_from_them() -> None:
    assert json.loads(json.dumps(BOTH.document())) == {
        "name": "start",
        "unit": "ms",
        "ours": [20.0, 10.0, 12.0],
        "rivals": {OLD: [120.0, 90.0, 96.0], NEW: [60.0]},
        "reach": "8x",
        "median": 12.0,
        "medians": {OLD: 96.0, NEW: 60.0},
        "ratios": {OLD: 8.0, NEW: 5.0},
    }


def test_series__samples_of_all_sides_in_turns__become_one_figure() -> None:
    series = figures.Series("start", "ms", "8x")
    for sample, rival in ((20.0, ""), (120.0, OLD), (60.0, NEW), (10.0, ""), (90.0, OLD), (12.0, ""), (96.0, OLD)):
        series.add(sample, rival)
    assert series.figure() == BOTH


def test_table__two_rivals__has_two_columns_for_each() -> None:
    assert figures.table([BOTH]) == (
        "figure  ours   Docker 20.10  ratio  Docker 26.1  ratio  to reach\n"
        "start   12 ms  96 ms         8.0x   60 ms        5.0x   8x"
    )


def test_table__figures_with_different_rivals__a_dash_stands_where_nobody_did_it() -> None:
    alone = figures.Figure("memory", "MiB", (73.4,), reach="< 80 MB")
    old = figures.Figure("compose", "s", (0.5,), {OLD: (4.0,)})
    new = figures.Figure("removal", "s", (0.25,), {NEW: (2.0,)})
    assert figures.table([alone, old, new]) == (
        "figure   ours      Docker 20.10  ratio  Docker 26.1  ratio  to reach\n"
        "memory   73.4 MiB  -             -      -            -      < 80 MB\n"
        "compose  0.5 s     4 s           8.0x   -            -\n"
        "removal  0.25 s    -             -      2 s          8.0x"
    )


def test_table__no_rivals__has_no_columns_for_any() -> None:
    assert figures.table([figures.Figure("plan", "s", (0.5,), reach="linear")]) == (
        "figure  ours   to reach\nplan    0.5 s  linear"
    )
