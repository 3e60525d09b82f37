"""What the planner does with containers, said by whole printed plans."""

import dataclasses

import pytest

from agent.model import container, health, ledger, network, policy, state
from agent.model.key import Kind, ObjectKey
from agent.plan import actions, planner, render
from tests import builders

NEVER_STARTED = container.ContainerState.CREATED


def printed(desired: state.DesiredState, observed: state.ObservedState, **fields: object) -> str:
    """Plan and print, every step shown."""
    return render.text(planner.compute_plan(desired, observed, builders.rules(**fields)), explain=True)


def with_policy(name: container.RestartPolicy) -> container.ContainerConfig:
    """Return a container with a restart policy."""
    backoff = container.BackoffConfig(initial=1.0, maximum=300.0, reset=600.0)
    return builders.config(restart=container.RestartConfig(name, backoff))


def test_container__nothing_there__is_created_and_started_after_its_image() -> None:
    plan = printed(builders.desired(builders.config()), builders.world(image=False))
    assert plan == (
        "  + Container/web is created\n"
        "      because Missing: not there yet\n"
        "      1: CreateContainer after 0\n"
        "      2: StartContainer after 1\n"
        "  + Image/docker.io/library/app:1 is created\n"
        "      because Missing: not there yet\n"
        "      0: EnsureImage\n"
        "\n"
        "Plan: 2 to create, 0 to change, 0 to replace, 0 to remove."
    )


def test_container__as_declared__nothing_to_change() -> None:
    web = builders.config()
    assert printed(builders.desired(web), builders.world(builders.observed(web))) == "Nothing to change."


def test_container__image_changed__replaces_and_says_why() -> None:
    old = builders.config()
    new = dataclasses.replace(old, image="docker.io/library/app:2")
    desired = builders.desired(new, builders.image_config(new.image))
    observed = builders.world(
        builders.observed(old),
        builders.observed_image(),
        builders.observed_image(builders.image_config(new.image), "b"),
    )
    assert printed(desired, observed) == (
        "-/+ Container/web is replaced\n"
        "      because Changed: image: docker.io/library/app:1 -> docker.io/library/app:2 (forces replacement)\n"
        "      0: CreateContainer\n"
        "      1: StopContainer after 0\n"
        "      2: RemoveContainer after 1\n"
        "      3: RenameContainer after 2\n"
        "      4: StartContainer after 3\n"
        "  - Image/docker.io/library/app:1 is removed\n"
        "      because Orphaned: no longer declared\n"
        "      5: RemoveImage after 2\n"
        "\n"
        "Plan: 0 to create, 0 to change, 1 to replace, 1 to remove."
    )


def test_container__resources_changed__changes_in_place() -> None:
    old = builders.config()
    new = dataclasses.replace(old, resources=container.Resources(500, 2**20, None, None))
    assert printed(builders.desired(new), builders.world(builders.observed(old))) == (
        "  ~ Container/web is changed\n"
        "      because Changed: resources: cpus=-, memory=- -> cpus=0.5, memory=1Mi\n"
        "      0: UpdateContainer\n"
        "\n"
        "Plan: 0 to create, 1 to change, 0 to replace, 0 to remove."
    )


def test_container__resources_changed__replaces_where_the_runtime_cannot_do_it_in_place() -> None:
    old = builders.config()
    new = dataclasses.replace(old, resources=container.Resources(500, None, None, None))
    plan = planner.compute_plan(
        builders.desired(new), builders.world(builders.observed(old)), builders.rules(in_place=frozenset())
    )
    assert [type(step.action).__name__ for step in plan.steps] == [
        *("CreateContainer", "StopContainer", "RemoveContainer", "RenameContainer", "StartContainer"),
    ]
    assert plan.steps[0].action.cause.fields == ("resources",)


def test_container__environment_changed__names_are_shown_and_values_never() -> None:
    old = builders.config(env=(("OLD", "old-secret"), ("PASSWORD", "old-secret"), ("SAME", "x")))
    new = dataclasses.replace(old, env=(("NEW", "new-secret"), ("PASSWORD", "new-secret"), ("SAME", "x")))
    plan = printed(builders.desired(new), builders.world(builders.observed(old)))
    assert "because Changed: env: + NEW, - OLD, PASSWORD changed (forces replacement)\n" in plan
    assert "secret" not in plan


@pytest.mark.parametrize("field", ["restart", "health", "stop", "depends_on"])
def test_container__agents_own_field_changed__is_kept_with_it_and_nothing_restarts(field: str) -> None:
    other = {
        "restart": container.RestartConfig(container.RestartPolicy.NEVER, container.BackoffConfig(2.0, 3.0, 4.0)),
        "health": health.HealthConfig(None, None, health.Probe(health.TcpProbe(1), 0, 1, 1, 1, 1)),
        "stop": container.StopConfig("SIGINT", 1.0),
        "depends_on": (container.Dependency("db", container.DependencyCondition.STARTED),),
    }
    db, old = builders.config("db"), builders.config()
    new = dataclasses.replace(old, **{field: other[field]})
    observed = builders.world(builders.observed(old), builders.observed(db))
    plan = planner.compute_plan(builders.desired(new, db), observed, builders.rules())
    (step,) = plan.steps
    assert step.action == actions.UpdateContainer(
        state.key_of(new), step.action.cause, "id-web", None, None, new.supervision
    )
    assert step.action.cause.fields == (field,)
    assert plan.drift == ()


def test_container__removed_behind_our_back__is_drift() -> None:
    web = builders.config()
    observed = builders.world(ledger=(builders.remembered(web),))
    plan = planner.compute_plan(builders.desired(web), observed, builders.rules())
    assert plan.drift == ((ObjectKey(Kind.CONTAINER, "web"), "was removed"),)
    assert plan.steps[0].action.cause.reason.value == "Drifted"


def test_container__changed_behind_our_back__is_drift() -> None:
    web = builders.config(resources=container.Resources(None, 2**20, None, None))
    drifted = builders.observed(dataclasses.replace(web, resources=container.Resources(None, 2**30, None, None)))
    observed = builders.world(drifted, ledger=(builders.remembered(web),))
    plan = planner.compute_plan(builders.desired(web), observed, builders.rules())
    assert plan.drift == ((ObjectKey(Kind.CONTAINER, "web"), "resources: memory=1Gi -> memory=1Mi"),)


@pytest.mark.parametrize(
    ("code", "cause"), [(137, "exited with 137"), (143, "exited with 143"), (None, "exited with an unknown code")]
)
def test_container__killed_behind_our_back__is_drift_and_started_at_once(code: int | None, cause: str) -> None:
    web = builders.config()
    observed = builders.world(builders.exited(web, code, at=builders.NOW), ledger=(builders.remembered(web),))
    plan = planner.compute_plan(builders.desired(web), observed, builders.rules())
    assert plan.drift == ((ObjectKey(Kind.CONTAINER, "web"), f"killed behind our back: {cause}"),)
    action = plan.steps[0].action
    assert (type(action).__name__, action.restart, action.streak) == ("StartContainer", ledger.RestartReason.EXIT, 1)


@pytest.mark.parametrize(
    ("code", "fields"),
    [(0, {}), (1, {}), (139, {}), (137, {"oom_killed": True}), (137, {"stop_requested": True})],
)
def test_container__ended_by_itself_or_by_us__is_started_and_no_drift(code: int, fields: dict[str, bool]) -> None:
    web = builders.config()
    ended = builders.exited(web, code, at=builders.NOW, **fields)
    observed = builders.world(ended, ledger=(builders.remembered(web),))
    plan = planner.compute_plan(builders.desired(web), observed, builders.rules())
    assert plan.drift == ()
    assert [type(step.action).__name__ for step in plan.steps] == ["StartContainer"]


def test_container__image_moved_to_other_content__replaces() -> None:
    web = builders.config()
    observed = builders.world(builders.observed(web), builders.observed_image(identity="sha256:other"))
    plan = printed(builders.desired(web), observed)
    assert "because ImageChanged: image docker.io/library/app:1 is another one now (forces replacement)\n" in plan


def test_container__archive_rewritten__image_is_loaded_and_the_container_replaced_in_one_plan() -> None:
    web = builders.config()
    old = builders.image_config()
    new = dataclasses.replace(old, source=dataclasses.replace(old.source, platform="linux/arm64"))
    plan = planner.compute_plan(
        builders.desired(web, new),
        builders.world(builders.observed(web), builders.observed_image(old)),
        builders.rules(),
    )
    names = [type(step.action).__name__ for step in plan.steps]
    assert names[:2] == ["EnsureImage", "CreateContainer"]
    assert plan.steps[1].after == (0,)


@pytest.mark.parametrize(
    ("name", "code", "asked", "starts"),
    [
        ("Always", 0, False, True),
        ("Always", 1, True, True),
        ("OnFailure", 0, False, False),
        ("OnFailure", 1, False, True),
        ("OnFailure", None, False, True),
        ("UnlessStopped", 1, False, True),
        ("UnlessStopped", 143, True, False),
        ("Never", 1, False, False),
    ],
)
def test_container__ended__starts_again_as_its_policy_says(
    name: str, code: int | None, asked: bool, starts: bool
) -> None:
    web = with_policy(container.RestartPolicy(name))
    observed = builders.world(builders.exited(web, code, stop_requested=asked))
    plan = planner.compute_plan(builders.desired(web), observed, builders.rules())
    assert [type(step.action).__name__ for step in plan.steps] == (["StartContainer"] if starts else [])


def test_container__stopped_by_us_for_a_restart_and_then_a_crash__is_started_whatever_the_policy() -> None:
    web = with_policy(container.RestartPolicy.UNLESS_STOPPED)
    memory = ledger.LedgerEntry(ObjectKey(Kind.CONTAINER, "web"), "", streak=0, restarting=True)
    observed = builders.world(builders.exited(web, 143, stop_requested=True), ledger=(memory,))
    plan = planner.compute_plan(builders.desired(web), observed, builders.rules())
    assert [(type(step.action).__name__, step.action.restart) for step in plan.steps] == [("StartContainer", None)]


@pytest.mark.parametrize(
    ("streak", "ended", "due"),
    [(0, 999.0, None), (1, 999.5, 1000.5), (2, 999.0, 1001.0), (5, 990.0, 1006.0), (99, 999.0, 1299.0)],
)
def test_container__failing_in_a_row__waits_longer_each_time(streak: int, ended: float, due: float | None) -> None:
    web = builders.config()
    memory = ledger.LedgerEntry(ObjectKey(Kind.CONTAINER, "web"), "", streak=streak)
    plan = planner.compute_plan(
        builders.desired(web), builders.world(builders.exited(web, 1, at=ended), ledger=(memory,)), builders.rules()
    )
    assert plan.wake_at == due
    assert plan.empty == (due is not None)
    if due is not None:
        assert [(blocked.reason, blocked.until) for blocked in plan.blocked] == [("BackOff", due)]


def test_container__ran_long_enough__the_row_of_failures_has_ended() -> None:
    web = builders.config()
    memory = ledger.LedgerEntry(ObjectKey(Kind.CONTAINER, "web"), "", streak=9)
    ended = builders.exited(web, 1, at=999.0, started_at=100.0)
    plan = planner.compute_plan(builders.desired(web), builders.world(ended, ledger=(memory,)), builders.rules())
    assert [step.action.streak for step in plan.steps] == [1]


def test_container__probes_call_it_dead__is_stopped_and_started() -> None:
    web = builders.config()
    sick = health.ObservedHealth(
        "id-web", started=True, ready=False, alive=False, message="liveness: no", failed_at=NOW
    )
    plan = printed(builders.desired(web), builders.world(builders.observed(web), health=(sick,)))
    assert plan == (
        "  ~ Container/web is changed\n"
        "      because Unhealthy: liveness: no\n"
        "      0: StopContainer\n"
        "      1: StartContainer after 0\n"
        "\n"
        "Plan: 0 to create, 1 to change, 0 to replace, 0 to remove."
    )


def test_container__probes_call_it_dead_again__waits_out_the_back_off_first() -> None:
    web = builders.config()
    sick = health.ObservedHealth("id-web", started=True, ready=False, alive=False, message="no", failed_at=NOW)
    memory = ledger.LedgerEntry(ObjectKey(Kind.CONTAINER, "web"), "", streak=3)
    observed = builders.world(builders.observed(web), health=(sick,), ledger=(memory,))
    plan = planner.compute_plan(builders.desired(web), observed, builders.rules())
    assert (plan.empty, plan.wake_at) == (True, NOW + 4.0)


NOW = builders.NOW


@pytest.mark.parametrize(
    ("condition", "state_of_dependency", "waits"),
    [
        ("Started", "running", ""),
        ("Started", "completed", ""),
        ("Started", "absent", ""),
        ("Healthy", "running", ""),
        ("Healthy", "unready", "db is not Healthy yet"),
        ("Healthy", "absent", "db is not Healthy yet"),
        ("Completed", "running", "db is not Completed yet"),
        ("Completed", "completed", ""),
    ],
)
def test_container__depends_on_another__starts_when_the_condition_holds(
    condition: str, state_of_dependency: str, waits: str
) -> None:
    probe = health.Probe(health.TcpProbe(1), 0, 1, 1, 1, 1)
    probes = health.HealthConfig(None, probe if state_of_dependency == "unready" else None, None)
    never = container.RestartConfig(container.RestartPolicy.NEVER, container.BackoffConfig(1.0, 2.0, 3.0))
    db = builders.config("db", health=probes, restart=never)
    web = builders.config(depends_on=(container.Dependency("db", container.DependencyCondition(condition)),))
    dependency = {"absent": [], "completed": [builders.exited(db, 0)]}.get(state_of_dependency, [builders.observed(db)])
    plan = planner.compute_plan(builders.desired(web, db), builders.world(*dependency), builders.rules())
    starts = [step.action.key.name for step in plan.steps if type(step.action).__name__ == "StartContainer"]
    assert ("web" in starts) == (not waits)
    assert [blocked.message for blocked in plan.blocked if blocked.key.name == "web"] == ([waits] if waits else [])
    if state_of_dependency == "absent" and not waits:
        assert starts == ["db", "web"]


def test_container__dependency_in_back_off__waits_and_says_for_what() -> None:
    db = builders.config("db")
    web = builders.config(depends_on=(container.Dependency("db", container.DependencyCondition.HEALTHY),))
    memory = ledger.LedgerEntry(ObjectKey(Kind.CONTAINER, "db"), "", streak=9)
    observed = builders.world(builders.exited(db, 1, at=999.0), ledger=(memory,))
    plan = planner.compute_plan(builders.desired(web, db), observed, builders.rules())
    assert [(str(blocked.key), blocked.reason, blocked.message) for blocked in plan.blocked] == [
        ("Container/db", "BackOff", "exited with 1; failure 10 in a row"),
        ("Container/web", "WaitingForDependency", "db is not Healthy: BackOff"),
    ]
    assert render.text(plan).endswith("\nPlan: 1 to create, 0 to change, 0 to replace, 0 to remove, 2 wait.")


def test_plan__all_that_is_left_waits__says_so_and_is_empty() -> None:
    db = builders.config("db")
    memory = ledger.LedgerEntry(ObjectKey(Kind.CONTAINER, "db"), "", streak=9)
    observed = builders.world(builders.exited(db, 1, at=999.0), ledger=(memory,))
    plan = planner.compute_plan(builders.desired(db), observed, builders.rules())
    assert plan.empty
    assert render.text(plan) == (
        "  … Container/db waits: exited with 1; failure 10 in a row (BackOff)\n\nNothing to change now: 1 waits."
    )


def test_container__running_when_its_dependency_fails__goes_on() -> None:
    db = with_policy(container.RestartPolicy.NEVER)
    db = dataclasses.replace(db, name="db")
    web = builders.config(depends_on=(container.Dependency("db", container.DependencyCondition.HEALTHY),))
    observed = builders.world(builders.exited(db, 1), builders.observed(web))
    assert planner.compute_plan(builders.desired(web, db), observed, builders.rules()).empty


def test_container__to_be_replaced_while_its_dependency_is_not_there__the_old_one_goes_on() -> None:
    db = with_policy(container.RestartPolicy.NEVER)
    db = dataclasses.replace(db, name="db")
    old = builders.config(depends_on=(container.Dependency("db", container.DependencyCondition.HEALTHY),))
    new = dataclasses.replace(old, args=("new",))
    observed = builders.world(builders.exited(db, 1), builders.observed(old))
    plan = planner.compute_plan(builders.desired(new, db), observed, builders.rules())
    assert plan.empty
    assert [blocked.reason for blocked in plan.blocked if blocked.key.name == "web"] == ["WaitingForDependency"]


def test_container__foreign_one_has_its_name__is_blocked_and_untouched() -> None:
    web = builders.config()
    foreign = builders.observed(web, labels=(("app", "x"),))
    plan = planner.compute_plan(builders.desired(web), builders.world(foreign), builders.rules())
    assert plan.empty
    assert [(str(blocked.key), blocked.reason) for blocked in plan.blocked] == [("Container/web", "Foreign")]


def test_container__what_it_was_made_from_cannot_be_read__is_left_as_it_is() -> None:
    web = builders.config(args=("new",), networks=(container.NetworkAttachment("shop"),))
    existing = builders.observed(builders.config(), image_id="other", unreadable="why (way out)")
    plan = planner.compute_plan(builders.desired(web), builders.world(existing), builders.rules())
    assert plan.empty
    assert [(blocked.reason, blocked.message) for blocked in plan.blocked] == [
        ("DeclarationUnreadable", "why (way out)")
    ]


def test_container__what_it_was_made_from_cannot_be_read__is_started_again_all_the_same() -> None:
    web = builders.config()
    existing = builders.exited(builders.config(args=("old",)), 1, unreadable="why")
    assert printed(builders.desired(web), builders.world(existing, now=2000.0)).startswith("  ~ Container/web")


def test_container__what_it_was_made_from_cannot_be_read__is_removed_when_it_is_not_declared() -> None:
    existing = builders.observed(builders.config(stop=container.StopConfig("", 90.0)), unreadable="why")
    plan = planner.compute_plan(builders.desired(), builders.world(existing), builders.rules())
    assert [step.action.stop for step in plan.steps if isinstance(step.action, actions.StopContainer)] == [
        container.StopConfig("", 90.0)
    ]


def test_container__another_instances__is_foreign() -> None:
    web = builders.config()
    other = builders.observed(web, labels=builders.labels_for(web, owner="other"))
    plan = planner.compute_plan(builders.desired(), builders.world(other), builders.rules())
    assert plan.empty


def test_container__no_longer_declared__is_stopped_and_removed() -> None:
    web = builders.config()
    plan = printed(builders.desired(), builders.world(builders.observed(web)))
    assert plan == (
        "  - Container/web is removed\n"
        "      because Orphaned: no longer declared\n"
        "      0: StopContainer\n"
        "      1: RemoveContainer after 0\n"
        "\n"
        "Plan: 0 to create, 0 to change, 0 to replace, 1 to remove."
    )


def test_container__no_longer_declared_and_pruning_is_off__stays() -> None:
    plan = planner.compute_plan(
        builders.desired(), builders.world(builders.observed(builders.config())), builders.rules(prune=False)
    )
    assert plan.empty


def test_container__joins_a_network__is_connected_in_place() -> None:
    shop = builders.network_config()
    old = builders.config()
    new = dataclasses.replace(old, networks=(container.NetworkAttachment("shop"),))
    observed = builders.world(builders.observed(old), builders.observed_network(shop))
    plan = planner.compute_plan(builders.desired(new, shop), observed, builders.rules())
    assert [type(step.action).__name__ for step in plan.steps] == ["ConnectContainer"]


def test_container__another_alias__leaves_and_enters_the_network() -> None:
    shop = builders.network_config()
    old = builders.config(networks=(container.NetworkAttachment("shop"),))
    new = dataclasses.replace(old, networks=(container.NetworkAttachment("shop", ("www",)),))
    observed = builders.world(builders.observed(old), builders.observed_network(shop))
    plan = planner.compute_plan(builders.desired(new, shop), observed, builders.rules())
    assert [type(step.action).__name__ for step in plan.steps] == ["DisconnectContainer", "ConnectContainer"]
    assert plan.steps[1].after == (0,)


def test_network__other_subnet__containers_leave_it_is_made_anew_and_they_return() -> None:
    old, new = builders.network_config(), builders.network_config(subnets=(network.Subnet("10.9.0.0/24", None, None),))
    web = builders.config(networks=(container.NetworkAttachment("shop"),))
    observed = builders.world(builders.observed(web), builders.observed_network(old))
    plan = planner.compute_plan(builders.desired(web, new), observed, builders.rules())
    assert [(type(step.action).__name__, step.after) for step in plan.steps] == [
        ("DisconnectContainer", ()),
        ("RemoveNetwork", (0,)),
        ("CreateNetwork", (1,)),
        ("ConnectContainer", (0, 2)),
    ]


def test_network__made_anew_with_a_replaced_container__old_one_stays_until_the_new_one_is_made() -> None:
    old, new = builders.network_config(), builders.network_config(internal=True)
    web = builders.config(networks=(container.NetworkAttachment("shop"),))
    changed = dataclasses.replace(web, args=("x",))
    observed = builders.world(builders.observed(web), builders.observed_network(old))
    plan = planner.compute_plan(builders.desired(changed, new), observed, builders.rules())
    assert [type(step.action).__name__ for step in plan.steps] == [
        *("DisconnectContainer", "RemoveNetwork", "CreateNetwork", "CreateContainer", "ConnectContainer"),
        *("StopContainer", "RemoveContainer", "RenameContainer", "StartContainer"),
    ]


def test_replacement__interrupted_after_the_new_one_was_made__is_reused() -> None:
    old = builders.config()
    new = dataclasses.replace(old, args=("x",))
    ready = builders.observed(new, NEVER_STARTED, id="id-new", name="web-12345678-new")
    plan = planner.compute_plan(builders.desired(new), builders.world(builders.observed(old), ready), builders.rules())
    assert [(type(step.action).__name__, step.action.ref) for step in plan.steps] == [
        ("StopContainer", "id-web"),
        ("RemoveContainer", "id-web"),
        ("RenameContainer", "id-new"),
        ("StartContainer", "web"),
    ]


def test_replacement__interrupted_after_the_old_one_was_removed__is_finished() -> None:
    new = builders.config(args=("x",))
    ready = builders.observed(new, NEVER_STARTED, id="id-new", name="web-12345678-new")
    plan = planner.compute_plan(builders.desired(new), builders.world(ready), builders.rules())
    assert [(type(step.action).__name__, step.action.cause.reason.value) for step in plan.steps] == [
        ("RenameContainer", "Interrupted"),
        ("StartContainer", "Interrupted"),
    ]


def test_replacement__interrupted_and_no_longer_wanted__is_removed() -> None:
    web = builders.config()
    stale = builders.observed(builders.config(args=("x",)), NEVER_STARTED, id="id-new", name="web-12345678-new")
    plan = planner.compute_plan(builders.desired(web), builders.world(builders.observed(web), stale), builders.rules())
    assert [(type(step.action).__name__, step.action.ref) for step in plan.steps] == [("RemoveContainer", "id-new")]


def test_container__made_and_never_started__is_started() -> None:
    web = builders.config()
    plan = planner.compute_plan(
        builders.desired(web), builders.world(builders.observed(web, NEVER_STARTED)), builders.rules()
    )
    assert [step.action.cause.reason.value for step in plan.steps] == ["NotStarted"]


def test_hold__on_a_container__it_is_left_alone_until_it_ends() -> None:
    web = builders.config()
    hold = policy.Hold(ObjectKey(Kind.CONTAINER, "web"), "PortInUse", "port 80 is in use", until=NOW + 5)
    plan = planner.compute_plan(builders.desired(web), builders.world(), builders.rules(holds=(hold,)))
    assert (plan.empty, plan.wake_at) == (True, NOW + 5)
    over = dataclasses.replace(hold, until=NOW - 1)
    assert not planner.compute_plan(builders.desired(web), builders.world(), builders.rules(holds=(over,))).empty


def test_hold__of_another_config__is_void() -> None:
    web = builders.config()
    hold = policy.Hold(ObjectKey(Kind.CONTAINER, "web"), "StartFailed", "no", config_hash="another")
    assert not planner.compute_plan(builders.desired(web), builders.world(), builders.rules(holds=(hold,))).empty


def test_hold__on_an_image__its_container_waits() -> None:
    web = builders.config()
    hold = policy.Hold(ObjectKey(Kind.IMAGE, builders.IMAGE), "ImagePullFailed", "no answer")
    plan = planner.compute_plan(builders.desired(web), builders.world(image=False), builders.rules(holds=(hold,)))
    assert [(str(blocked.key), blocked.reason) for blocked in plan.blocked] == [
        ("Container/web", "WaitingForDependency"),
        (f"Image/{builders.IMAGE}", "ImagePullFailed"),
    ]


def test_hold__on_an_orphan__it_stays_for_now() -> None:
    web = builders.config()
    hold = policy.Hold(ObjectKey(Kind.CONTAINER, "web"), "InProgress", "busy")
    plan = planner.compute_plan(
        builders.desired(), builders.world(builders.observed(web)), builders.rules(holds=(hold,))
    )
    assert [blocked.reason for blocked in plan.blocked] == ["InProgress"]


def test_dependency_cycle__planner_is_given_one__does_not_fail() -> None:
    first = builders.config("a", depends_on=(container.Dependency("b", container.DependencyCondition.STARTED),))
    two = builders.config("b", depends_on=(container.Dependency("a", container.DependencyCondition.STARTED),))
    plan = planner.compute_plan(builders.desired(first, two), builders.world(), builders.rules())
    assert {blocked.reason for blocked in plan.blocked} <= {"WaitingForDependency"}
