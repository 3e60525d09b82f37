"""Problems as they print, and as they are collected: the first ones, and how many more there are."""

import pytest

from agent.manifests import problem
from agent.manifests.problem import Findings, Problem


def several(count: int, first: int = 1) -> list[Problem]:
    """Return problems of one file, a line each."""
    return [Problem("a.yaml", first + number, 1, "wrong") for number in range(count)]


def test_problem__as_text__can_be_followed_by_editors() -> None:
    assert str(Problem("a.yaml", 2, 3, "wrong", "mend it")) == "a.yaml:2:3: wrong (mend it)"
    assert str(Problem("a.yaml", 2, 3, "wrong")) == "a.yaml:2:3: wrong"


def test_mistake__of_a_file__is_a_problem_at_its_place() -> None:
    mistake = problem.Mistake((2, 3), "wrong", "mend it")
    assert (str(mistake), mistake.at("a.yaml")) == ("wrong", Problem("a.yaml", 2, 3, "wrong", "mend it"))
    assert (
        str(problem.too_deep((4, 5), 64).at("b")) == "b:4:5: values are nested deeper than 64 (no manifest needs that)"
    )
    assert str(problem.too_many_values((4, 5)).at("b")) == (
        "b:4:5: the file has too many values, aliases counted wherever they are used (split it)"
    )


def test_findings__few__are_reported_sorted_and_once() -> None:
    findings = Findings()
    findings.add([Problem("b", 1, 1, "x"), Problem("a", 10, 1, "x"), Problem("a", 9, 1, "x")])
    findings.add([Problem("b", 1, 1, "x")])
    assert [str(item) for item in findings.reported()] == ["a:9:1: x", "a:10:1: x", "b:1:1: x"]
    assert not findings.full


def test_findings__as_many_as_are_reported__are_not_full_yet() -> None:
    findings = Findings()
    findings.add(several(problem.MOST))
    assert (findings.more, findings.full) == (0, False)
    assert findings.reported() == tuple(several(problem.MOST))


def test_findings__more_than_are_reported__the_first_of_the_others_says_how_many() -> None:
    findings = Findings()
    findings.add(several(problem.MOST - 1))
    rest = iter(several(3, first=1000))
    findings.add(rest)
    assert (findings.more, findings.full, len(list(rest))) == (1, True, 1)
    findings.add(several(1, first=2000))
    findings.count(5)
    summary = "a.yaml:1001:1: there are 7 more problems at least (mend the first ones, and look again)"
    assert [str(item) for item in findings.reported()[-2:]] == ["a.yaml:1000:1: wrong", summary]
    assert len(findings.reported()) == problem.MOST + 1


@pytest.mark.parametrize(("count", "more"), [(-1, 0), (0, 0), (1, 1), (2, 2)])
def test_findings__counted_without_messages__are_told_at_the_last_of_the_first(count: int, more: int) -> None:
    findings = Findings()
    findings.add(several(2))
    findings.count(count)
    ending = [f"a.yaml:2:1: there are {more} more problems at least (mend the first ones, and look again)"]
    lines = [str(item) for item in findings.reported()]
    assert lines == ["a.yaml:1:1: wrong", "a.yaml:2:1: wrong", *(ending if more else [])]
    assert not findings.full


def test_shortened__a_word_of_60_characters__is_whole() -> None:
    assert problem.shortened("k" * 60) == "k" * 60
    assert problem.shortened("k" * 61) == f"{'k' * 60}..."
