"""A plan as people read it and as programs do: every line with its style, every field of the document."""

import dataclasses

import pytest

from agent.model import container, ledger, policy, suspension, volume
from agent.model.key import Kind, ObjectKey
from agent.plan import plan, planner, render
from agent.reasons import Reason
from tests import builders

WEB = builders.config()


def computed() -> plan.Plan:
    """Return a plan in which something of each kind is: created, changed, replaced, removed, kept, waiting."""
    limits = container.Resources(500, None, None, None)
    configs = [builders.config(name) for name in ("a", "b", "c", "d")]
    desired = builders.desired(
        dataclasses.replace(configs[1], resources=limits), dataclasses.replace(configs[2], args=("x",)), configs[0], WEB
    )
    observed = builders.world(
        *(builders.observed(config) for config in configs[1:]),
        builders.observed_volume(builders.volume_config(policy=volume.DeletionPolicy.RETAIN)),
        ledger=(builders.remembered(configs[0]),),
    )
    hold = policy.Hold(ObjectKey(Kind.CONTAINER, "web"), Reason.UNAVAILABLE, "no answer", builders.NOW + 9)
    return planner.compute_plan(desired, observed, builders.rules(holds=(hold,)))


def test_lines__each_has_the_style_of_what_it_says() -> None:
    stays = (
        "  = Volume/data stays: it is no longer declared, and its data is kept (deletionPolicy: Retain)."
        " To remove it, declare it again with deletionPolicy: Delete, apply that, and then take it out"
    )
    assert [(line.style, line.text) for line in render.lines(computed())] == [
        ("create", "  + Container/a is created"),
        ("detail", "      because Drifted: was removed behind our back"),
        ("change", "  ~ Container/b is changed"),
        ("detail", "      because Changed: resources: cpus=- -> cpus=0.5"),
        ("replace", "-/+ Container/c is replaced"),
        ("detail", "      because Changed: args: - -> x (forces replacement)"),
        ("remove", "  - Container/d is removed"),
        ("detail", "      because Orphaned: no longer declared"),
        ("detail", stays),
        ("wait", "  … Container/web waits: no answer (Unavailable)"),
        ("detail", ""),
        ("summary", "Plan: 1 to create, 1 to change, 1 to replace, 1 to remove, 1 waits."),
    ]


def test_lines__explained__show_each_step_in_the_style_of_a_detail() -> None:
    explained = [line for line in render.lines(computed(), explain=True) if line not in render.lines(computed())]
    assert {line.style for line in explained} == {"detail"}
    assert [line.text.strip() for line in explained] == [
        "0: CreateContainer",
        "8: StartContainer after 0",
        "7: UpdateContainer",
        "1: CreateContainer",
        "2: StopContainer after 1",
        "4: RemoveContainer after 2",
        "6: RenameContainer after 4",
        "9: StartContainer after 6",
        "3: StopContainer",
        "5: RemoveContainer after 3",
    ]


def test_document__has_every_field_of_the_plan() -> None:
    document = render.document(computed())
    steps = document.pop("steps")
    assert document == {
        "revision": "r1",
        "blocked": [
            {
                "object": "Container/web",
                "reason": "Unavailable",
                "message": "no answer",
                "until": builders.NOW + 9,
                "would": None,
            }
        ],
        "buckets": {
            "Container/a": "missing",
            "Container/b": "drifted",
            "Container/c": "drifted",
            "Container/d": "orphaned",
            "Container/web": "missing",
            f"Image/{builders.IMAGE}": "matching",
            "Volume/data": "orphaned",
        },
        "drift": {"Container/a": "was removed"},
        "wakeAt": builders.NOW + 9,
        "retained": ["Volume/data"],
        "uncompared": {},
    }
    assert len(steps) == 10
    assert steps[4] == {
        "id": 4,
        "action": "RemoveContainer",
        "object": "Container/c",
        "reason": "Changed",
        "message": "args: - -> x (forces replacement)",
        "fields": ["args"],
        "after": [2],
    }


def test_network__mended_by_making_it__is_changed_and_one_that_is_not_there_is_created() -> None:
    shop = builders.network_config()
    other = dataclasses.replace(shop, labels=(("app", "new"),))
    for observed, style in (([builders.observed_network(shop)], "change"), ([], "create")):
        result = planner.compute_plan(builders.desired(other), builders.world(*observed), builders.rules())
        assert render.lines(result)[0].style == style


@pytest.mark.parametrize(("names", "words"), [(("web",), "1 waits"), (("a", "web"), "2 wait")])
def test_summary__nothing_to_do_but_to_wait__counts_them(names: tuple[str, ...], words: str) -> None:
    holds = tuple(policy.Hold(ObjectKey(Kind.CONTAINER, name), Reason.UNAVAILABLE, "no answer") for name in names)
    desired = builders.desired(*(builders.config(name) for name in names))
    result = planner.compute_plan(desired, builders.world(), builders.rules(holds=holds))
    assert render.text(result).splitlines()[-1] == f"Nothing to change now: {words}."


def test_wake_at__several_wait_for_a_time__is_the_first() -> None:
    configs = [builders.config("a"), builders.config("b")]
    memory = tuple(
        ledger.LedgerEntry(ObjectKey(Kind.CONTAINER, config.name), "", streak=streak)
        for config, streak in zip(configs, (3, 5), strict=True)
    )
    observed = builders.world(*(builders.exited(config, 1, at=builders.NOW) for config in configs), ledger=memory)
    result = planner.compute_plan(builders.desired(*configs), observed, builders.rules())
    assert result.wake_at == builders.NOW + 4


def test_text__explained__is_the_lines_that_explain_and_is_not_so_unless_that_is_wanted() -> None:
    plan_computed = computed()
    assert render.text(plan_computed, explain=True) == "\n".join(
        line.text for line in render.lines(plan_computed, explain=True)
    )
    assert render.text(plan_computed) == "\n".join(line.text for line in render.lines(plan_computed))


def test_lines__of_what_is_suspended_and_of_what_is_not_compared__have_their_styles() -> None:
    key = ObjectKey(Kind.CONTAINER, "web")
    suspended = suspension.Suspensions(None, (suspension.Suspension(key, 1.0),))
    preview = planner.preview(builders.desired(WEB), builders.world(suspensions=suspended), builders.rules())
    shown = dataclasses.replace(preview, uncompared=((key, "the reason"),))
    assert [line.style for line in render.lines(shown)] == ["wait", "wait", "detail", "detail", "summary"]
