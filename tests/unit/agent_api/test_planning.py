"""The JSON of a plan that an agent has made, and what is left out of it for whoever may not read manifests."""

import dataclasses
import json
import os
import pathlib

import pytest

from agent.agent_api import location, planning, preview
from agent.model import suspension
from agent.plan import planner
from tests import builders

BEFORE = builders.config("web", args=("--password", "hunter2"))
DESIRED = builders.desired(dataclasses.replace(BEFORE, args=("--password", "hunter3")))
COMPUTED = planner.compute_plan(
    DESIRED,
    builders.world(builders.observed(BEFORE), ledger=(builders.remembered(DESIRED.containers[0]),)),
    builders.rules(),
)


@pytest.mark.parametrize("explain", [False, True])
def test_document__read_back__is_the_same(*, explain: bool) -> None:
    answer = preview.answer(DESIRED, COMPUTED, explain=explain)
    assert planning.restore(json.loads(json.dumps(planning.document(answer)))) == answer
    assert any("CreateContainer" in line.text for line in answer.lines) is explain


def test_document__something_else__is_refused() -> None:
    with pytest.raises(ValueError, match="no plan"):
        planning.restore({"lines": []})


def test_without_values__names_what_differs_and_not_how() -> None:
    whole = str(preview.answer(DESIRED, COMPUTED, explain=True))
    assert "hunter2" in whole
    assert COMPUTED.drift
    shown = str(preview.answer(DESIRED, preview.without_values(COMPUTED), explain=True))
    assert "hunter" not in shown
    assert "args changed" in shown


def test_without_values__of_what_is_suspended__names_what_differs_and_not_how() -> None:
    suspensions = suspension.Suspensions(900.0)
    observed = builders.world(builders.observed(BEFORE), suspensions=suspensions)
    computed = planner.preview(DESIRED, observed, builders.rules())
    assert "hunter2" in str(preview.answer(DESIRED, computed, explain=False))
    shown = str(preview.answer(DESIRED, preview.without_values(computed), explain=False))
    assert "hunter" not in shown
    assert "suspended: would be replaced (Changed: args changed)" in shown


def test_identity__of_a_path__is_the_same_from_every_directory(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    monkeypatch.chdir(tmp_path)
    assert {location.identity(text) for text in ("a", "./a/", f"{tmp_path}/a")} == {os.fspath(tmp_path / "a")}
    assert location.identity("git+https://me:secret@host/r#main") == "git+https://host/r#main"
