"""Which survivors may live, and when there are too many others."""

import pathlib

import pytest

from tests.mutants import mutations, results

SOURCE = b"def f(a):\n    return a == 1\n"
ENTRY = """
[[survivor]]
path = "agent/rule.py"
function = "f"
before = "return a == 1"
after = "return (a != 1)"
reason = "{reason}"
"""


def mutant() -> mutations.Mutant:
    """Return the one that the entry is about."""
    change = ("return a == 1", "return (a != 1)")
    return next(some for some in mutations.of_source("agent/rule.py", SOURCE) if some.change(SOURCE) == change)


def test_accepted__a_survivor_in_the_list__may_live(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "accepted.toml"
    file.write_text(ENTRY.format(reason="nobody can see it"))
    entries = results.accepted(file)
    assert results.is_accepted(mutant(), SOURCE, entries) == entries[0]
    others = [some for some in mutations.of_source("agent/rule.py", SOURCE) if some != mutant()]
    assert [results.is_accepted(some, SOURCE, entries) for some in others] == [None] * len(others)


def test_accepted__without_a_reason__is_refused(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "accepted.toml"
    file.write_text(ENTRY.format(reason=" "))
    with pytest.raises(ValueError, match="has no reason"):
        results.accepted(file)


def test_list__of_this_repository__has_reasons_and_names_changes_that_exist() -> None:
    for entry in results.accepted():
        source = (results.ROOT / entry.path).read_bytes()
        assert entry.before in " ".join(source.decode().split()), f"{entry.path} has no {entry.before!r} any more"


@pytest.mark.parametrize(("survivors", "is_too_many"), [(4, False), (5, True), (6, True)])
def test_figures__five_in_a_hundred_survive__are_too_many(survivors: int, is_too_many: bool) -> None:
    figures = results.Figures(mutants=100, killed=100 - survivors, survivors=survivors)
    assert figures.is_too_many is is_too_many
    assert f"{survivors:.1f}" in results.table({"agent/plan": figures})


def test_results__kept_by_one_run__are_known_to_the_next(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "FILE", tmp_path / "results.jsonl")
    result = results.Result(mutant().identity, results.Outcome.KILLED, "tests/unit/test_rule.py::test_f", "")
    results.Results().keep(result)
    assert results.Results().get(mutant()) == result
