"""Every alert in ``ops/prometheus`` is proved by a recorded bad day: a new one that has none is noticed here."""

import ast
import pathlib
import re
from collections.abc import Iterator

import pytest
import yaml

REPOSITORY = pathlib.Path(__file__).parents[2]
RULES = REPOSITORY / "ops/prometheus"
RECORDINGS = REPOSITORY / "tests/e2e/test_alerts.py"
_ALERT = re.compile(r"Trimtab[A-Za-z]+")


def alerts(rules: str) -> list[str]:
    """Return the names of a rules file's alerts."""
    groups = yaml.safe_load(rules)["groups"]
    return [rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule]


def recorded(tests: str) -> set[str]:
    """Return the alerts that a test of the file expects to have fired by some minute of its recording."""
    functions = [node for node in ast.walk(ast.parse(tests)) if isinstance(node, ast.FunctionDef)]
    return {name for function in functions if function.name.startswith("test_") for name in _expected_by(function)}


def _expected_by(function: ast.FunctionDef) -> Iterator[str]:
    """Yield the alerts that ``assert_alerts`` is to judge as fired; a variable stands for what it was assigned."""
    assigned = {
        node.targets[0].id: node.value
        for node in ast.walk(function)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    for judged in (call for outer in _calls(function, "assert_alerts") for call in _calls(outer, "Judged")):
        fired = judged.args[1]
        if isinstance(fired, ast.Name):
            fired = assigned[fired.id]
        for node in ast.walk(fired):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield from _ALERT.findall(node.value)


def _calls(node: ast.AST, function: str) -> list[ast.Call]:
    return [
        call
        for call in ast.walk(node)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == function
    ]


def test_alerts__each_has_a_recording_on_which_it_fires_and_no_recording_is_of_another() -> None:
    names = [name for path in sorted(RULES.glob("*.yml")) for name in alerts(path.read_text())]
    assert len(names) == len(set(names)) > 10
    assert recorded(RECORDINGS.read_text()) == set(names)


def test_alert__that_is_new__has_no_recording_yet() -> None:
    rules = (RULES / "trimtab.rules.yml").read_text()
    added = rules.replace("      - alert:", "      - {alert: TrimtabNew, expr: up == 2}\n      - alert:", 1)
    assert set(alerts(added)) - recorded(RECORDINGS.read_text()) == {"TrimtabNew"}


@pytest.mark.parametrize("alert", alerts((RULES / "trimtab.rules.yml").read_text()))
def test_alert__whose_recording_is_taken_out__is_noticed(alert: str) -> None:
    """A name in a pattern of what is asked for, in a comment or in no call that judges is no recording."""
    without = re.sub(rf"\b{alert}\b", "Other", RECORDINGS.read_text())
    assert alert not in recorded(f"{without}\n# {alert}\nABOUT = ['{alert}']\nJudged(3, [], '{alert}')\n")
