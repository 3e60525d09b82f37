"""What a container waits for, and what a runtime cannot do in place."""

import dataclasses

import pytest

from agent.model import container, health, kinds, ledger, network, policy
from agent.model.key import Kind, ObjectKey
from agent.plan import actions, diff, gates, ground, match, plan, planner
from agent.reasons import Reason
from tests import builders

STARTED, HEALTHY, COMPLETED = container.DependencyCondition
EXITED, CREATED, RUNNING = (
    container.ContainerState.EXITED,
    container.ContainerState.CREATED,
    container.ContainerState.RUNNING,
)
PROBED = health.HealthConfig(None, health.Probe(health.TcpProbe(80), 0.0, 1.0, 1.0, 1, 3), None)
ALWAYS = container.RestartConfig(container.RestartPolicy.ALWAYS, container.BackoffConfig(1.0, 300.0, 600.0))


def computed(configs: list[kinds.Config], existing: list[object], **fields: object) -> plan.Plan:
    """Plan the wanted configs over what is there."""
    world = {name: fields.pop(name) for name in ("health", "ledger") if name in fields}
    return planner.compute_plan(
        builders.desired(*configs), builders.world(*existing, **world), builders.rules(**fields)
    )


def started(plan_computed: plan.Plan) -> list[str]:
    """Return the containers that a plan starts."""
    return [step.action.key.name for step in plan_computed.steps if isinstance(step.action, actions.StartContainer)]


def waiting(plan_computed: plan.Plan) -> dict[str, str]:
    """Return the message of each blocked container."""
    return {
        blocked.key.name: blocked.message for blocked in plan_computed.blocked if blocked.key.kind is Kind.CONTAINER
    }


def on(name: str, condition: container.DependencyCondition) -> tuple[container.Dependency, ...]:
    """Depend on one container."""
    return (container.Dependency(name, condition),)


def ended(config: container.ContainerConfig, code: int = 1) -> container.ObservedContainer:
    """Return a container that has ended long ago."""
    return builders.observed(config, EXITED, exit_code=code, started_at=1.0, finished_at=2.0)


def answer(name: str, *, ready: bool = True, alive: bool = True) -> tuple[health.ObservedHealth, ...]:
    """Return what a container's probes say."""
    return (health.ObservedHealth(f"id-{name}", True, ready, alive, "", None),)


@pytest.mark.parametrize("condition", [STARTED, HEALTHY])
def test_dependency__replaced_by_this_plan__what_was_seen_of_it_holds_no_longer(
    condition: container.DependencyCondition,
) -> None:
    db = builders.config("db", health=PROBED)
    web = builders.config("web", restart=ALWAYS, depends_on=on("db", condition))
    changed = dataclasses.replace(db, args=("x",))
    result = computed([changed, web], [builders.observed(db), ended(web)], health=answer("db"))
    if condition is HEALTHY:
        assert waiting(result) == {"web": "db is not Healthy yet"}
        assert started(result) == ["db"]
    else:
        steps = {step.action.key.name: step for step in result.steps if isinstance(step.action, actions.StartContainer)}
        assert steps["db"].id in steps["web"].after


@pytest.mark.parametrize("condition", [STARTED, HEALTHY, COMPLETED])
def test_dependency__has_ended_well_and_is_to_start_and_may_not__is_not_fulfilled(
    condition: container.DependencyCondition,
) -> None:
    job = builders.config("job", restart=ALWAYS, depends_on=on("nobody", STARTED))
    web = builders.config("web", depends_on=on("job", condition))
    result = computed([job, web], [ended(job, 0)])
    assert started(result) == []
    assert waiting(result)["web"] == f"job is not {condition.value}: WaitingForDependency"


def test_dependency__has_ended_well_and_is_started_again__is_not_completed() -> None:
    job = builders.config("job", restart=ALWAYS)
    web = builders.config("web", depends_on=on("job", COMPLETED))
    result = computed([job, web], [ended(job, 0)])
    assert started(result) == ["job"]
    assert waiting(result) == {"web": "job is not Completed yet"}


def test_dependency__to_be_restarted_for_its_probes__is_not_healthy() -> None:
    db = builders.config("db", health=PROBED)
    web = builders.config("web", depends_on=on("db", HEALTHY))
    sick = (health.ObservedHealth("id-db", True, True, False, "dead", builders.NOW - 5),)
    result = computed([db, web], [builders.observed(db)], health=sick)
    assert "web" in waiting(result)
    assert started(result) == ["db"]


@pytest.mark.parametrize(
    ("ready", "alive", "fulfilled"), [(True, True, True), (True, False, False), (False, True, False)]
)
def test_dependency__healthy__is_ready_and_alive(ready: bool, alive: bool, fulfilled: bool) -> None:
    db = builders.config("db", health=PROBED, restart=dataclasses.replace(ALWAYS, policy=container.RestartPolicy.NEVER))
    web = builders.config("web", depends_on=on("db", HEALTHY))
    result = computed([db, web], [builders.observed(db)], health=answer("db", ready=ready, alive=alive))
    assert ("web" in started(result)) is fulfilled


def test_dependency__healthy_without_an_answer_of_its_probes__is_not() -> None:
    liveness = health.HealthConfig(None, None, PROBED.readiness)
    for probes in (PROBED, liveness, health.HealthConfig(PROBED.readiness, None, None)):
        db = builders.config("db", health=probes)
        web = builders.config("web", depends_on=on("db", HEALTHY))
        assert started(computed([db, web], [builders.observed(db)])) == []


def test_dependency__healthy__is_judged_by_the_probes_that_are_declared_now() -> None:
    old, new = builders.config("db"), builders.config("db", health=PROBED)
    web = builders.config("web", depends_on=on("db", HEALTHY))
    assert started(computed([new, web], [builders.observed(old)])) == []
    assert started(computed([old, web], [builders.observed(new)])) == ["web"]


@pytest.mark.parametrize("container_state", [CREATED, EXITED])
def test_start__its_network_is_gone__waits_until_that_is_made(container_state: container.ContainerState) -> None:
    shop = builders.network_config()
    web = builders.config("web", restart=ALWAYS, networks=(container.NetworkAttachment("shop"),))
    fields = {} if container_state is CREATED else {"exit_code": 1, "finished_at": 1.0, "started_at": 0.5}
    result = computed([web, shop], [builders.observed(web, container_state, **fields)])
    kinds = {type(step.action): step for step in result.steps}
    assert kinds[actions.CreateNetwork].id in kinds[actions.StartContainer].after


def test_restart__its_image_is_to_be_verified__nothing_stops_before_that() -> None:
    web = builders.config("web", restart=ALWAYS, health=PROBED)
    sick = (health.ObservedHealth("id-web", True, True, False, "dead", builders.NOW - 5),)
    image = dataclasses.replace(builders.observed_image(), verified=False)
    result = computed([web], [builders.observed(web), image], health=sick)
    kinds = {type(step.action): step for step in result.steps}
    assert kinds[actions.EnsureImage].id in kinds[actions.StopContainer].after


@pytest.mark.parametrize("healthy", [True, False])
def test_creation__its_network_is_held__waits_only_where_that_cannot_be_used(healthy: bool) -> None:
    shop = builders.network_config()
    observed_network = builders.observed_network(shop, healthy=healthy)
    if healthy:
        shop = dataclasses.replace(shop, labels=(("app", "new"),))
    web = builders.config("web", networks=(container.NetworkAttachment("shop"),))
    hold = policy.Hold(ObjectKey(Kind.NETWORK, "shop"), "NetworkFailed", "no")
    result = computed([web, shop], [observed_network], holds=(hold,))
    assert (started(result) == ["web"]) is healthy
    assert ("web" in waiting(result)) is not healthy


def test_in_use__what_waits_for_that_makes_more_of_it_stay() -> None:
    """The network stays for the one that is held; so another's replacement waits, and its old image stays as well."""
    inside = (container.NetworkAttachment("shop"),)
    own, new_image = builders.image_config("docker.io/library/held:1"), builders.image_config("docker.io/library/app:2")
    held, web = builders.config("held", image=own.reference, networks=inside), builders.config("web", networks=inside)
    changed = dataclasses.replace(web, image=new_image.reference)
    result = computed(
        [dataclasses.replace(held, args=("x",)), changed, builders.network_config(internal=True), own, new_image],
        [
            *(builders.observed(held, image_id="held"), builders.observed(web), builders.observed_image()),
            *(builders.observed_image(own, "held"), builders.observed_image(new_image, "b")),
            builders.observed_network(builders.network_config(), healthy=False),
        ],
        holds=(policy.Hold(ObjectKey(Kind.CONTAINER, "held"), "InProgress", "busy"),),
    )
    assert result.empty
    reasons = {str(blocked.key): blocked.reason for blocked in result.blocked}
    assert reasons == {
        "Container/held": "InProgress",
        "Container/web": "WaitingForDependency",
        "Image/docker.io/library/app:1": "InUse",
        "Network/shop": "InUse",
    }


EVERYTHING = frozenset(policy.InPlace)


def change(before: container.ContainerConfig, after: container.ContainerConfig, able: frozenset[policy.InPlace]) -> str:
    """Return the kind of change from one to the other."""
    (difference,) = diff.of_container(after, before, able)
    return difference.change.value


@pytest.mark.parametrize(
    ("before", "after", "needed"),
    [
        (100, None, policy.InPlace.MEMORY_LIFTED),
        (None, 100, None),
        (100, 200, None),
    ],
)
def test_memory__lifting_its_limit_takes_more_than_changing_it(
    before: int | None, after: int | None, needed: policy.InPlace | None
) -> None:
    old, new = (builders.config(resources=container.Resources(None, memory, None, None)) for memory in (before, after))
    assert change(old, new, EVERYTHING) == "in place"
    assert change(old, new, EVERYTHING - {policy.InPlace.RESOURCES}) == "replace"
    lacking = EVERYTHING - {policy.InPlace.MEMORY_LIFTED}
    assert change(old, new, lacking) == ("replace" if needed else "in place")


@pytest.mark.parametrize(
    ("before", "after", "needed"),
    [((), ("a",), True), (("a",), (), True), (("a",), ("b",), False), (("a",), ("a", "b"), False)],
)
def test_networks__the_first_and_the_last_take_more_than_moving(
    before: tuple[str, ...], after: tuple[str, ...], needed: bool
) -> None:
    old, new = (
        builders.config(networks=tuple(container.NetworkAttachment(name) for name in names))
        for names in (before, after)
    )
    assert change(old, new, EVERYTHING) == "in place"
    assert change(old, new, EVERYTHING - {policy.InPlace.NETWORKS}) == "replace"
    assert change(old, new, EVERYTHING - {policy.InPlace.FIRST_NETWORK}) == ("replace" if needed else "in place")


def test_supervision__is_kept_by_every_runtime() -> None:
    old = builders.config()
    new = dataclasses.replace(old, stop=container.StopConfig("SIGINT", 60.0))
    assert change(old, new, frozenset()) == "record"


def test_network__several_subnets__are_compared_as_asked() -> None:
    first, two = network.Subnet("10.1.0.0/24", None, None), network.Subnet("10.2.0.0/24", "10.2.0.9", None)
    config = builders.network_config(subnets=(two, first))
    chosen = dataclasses.replace(first, gateway="10.1.0.1")
    assert diff.of_network(config, dataclasses.replace(config, subnets=(chosen, two))) == ()
    moved = dataclasses.replace(two, gateway="10.2.0.1")
    assert [
        difference.field for difference in diff.of_network(config, dataclasses.replace(config, subnets=(chosen, moved)))
    ] == ["subnets"]


@pytest.mark.parametrize("condition", [STARTED, HEALTHY, COMPLETED])
def test_dependency__has_failed_for_good__fulfils_nothing(condition: container.DependencyCondition) -> None:
    never = dataclasses.replace(ALWAYS, policy=container.RestartPolicy.NEVER)
    job = builders.config("job", restart=never)
    web = builders.config("web", depends_on=on("job", condition))
    result = computed([job, web], [ended(job, 1)])
    assert started(result) == []
    assert waiting(result)["web"] == f"job is not {condition.value}: Stopped"


def test_dependency__blocked_and_as_it_has_to_be__keeps_nobody() -> None:
    """Its replacement waits for an image; until that is there, it goes on as healthy as it was."""
    db = builders.config("db", health=PROBED)
    changed = dataclasses.replace(db, image="docker.io/library/app:2")
    web = builders.config("web", depends_on=on("db", HEALTHY))
    hold = policy.Hold(ObjectKey(Kind.IMAGE, changed.image), Reason.IMAGE_PULL_FAILED, "no such tag")
    configs = [changed, web, builders.image_config(changed.image)]
    result = computed(configs, [builders.observed(db)], health=answer("db"), holds=(hold,))
    assert "db" in waiting(result)
    assert started(result) == ["web"]


def test_dependency__replaced_as_well__who_needs_it_healthy_is_not_replaced_before_it_is() -> None:
    db, web = builders.config("db", health=PROBED), builders.config("web", depends_on=on("db", HEALTHY))
    changed = [dataclasses.replace(config, args=("x",)) for config in (db, web)]
    result = computed(changed, [builders.observed(db), builders.observed(web)], health=answer("db"))
    assert {step.action.key.name for step in result.steps} == {"db"}
    assert waiting(result) == {"web": "db is not Healthy yet"}


def test_dependency__restarted_though_it_is_not_probed_any_more__is_not_healthy() -> None:
    """Its probes have called it dead, and are declared no longer."""
    db = builders.config("db")
    web = builders.config("web", depends_on=on("db", HEALTHY))
    result = computed([db, web], [builders.observed(db)], health=answer("db", alive=False))
    assert started(result) == ["db"]
    assert waiting(result) == {"web": "db is not Healthy yet"}


def test_dependency__only_an_interrupted_replacement_has_left_something_of_it__is_not_started() -> None:
    db = builders.config("db")
    web = builders.config("web", depends_on=on("db", STARTED))
    leftover = builders.observed(db, id="id-left", name="db-12345678-new")
    hold = policy.Hold(ObjectKey(Kind.CONTAINER, "db"), Reason.IN_PROGRESS, "busy")
    result = computed([db, web], [leftover], holds=(hold,))
    assert started(result) == []
    assert waiting(result)["web"] == "db is not Started: InProgress"


def test_dependency__runs_and_its_engine_tells_an_exit_code__is_not_completed() -> None:
    job = builders.config("job", restart=dataclasses.replace(ALWAYS, policy=container.RestartPolicy.NEVER))
    web = builders.config("web", depends_on=on("job", COMPLETED))
    assert started(computed([job, web], [builders.observed(job, exit_code=0)])) == []


RESTARTING = (ledger.LedgerEntry(ObjectKey(Kind.CONTAINER, "web"), "", streak=1, restarting=True),)


def test_stopped_by_us__one_dependency_is_there_and_another_is_not__stays_down() -> None:
    db, cache = builders.config("db"), builders.config("cache")
    web = builders.config("web", depends_on=(*on("cache", STARTED), *on("db", HEALTHY)))
    stopped = builders.observed(web, EXITED, exit_code=0, stop_requested=True, finished_at=builders.NOW - 1)
    result = computed([db, cache, web], [builders.observed(cache), stopped], ledger=RESTARTING)
    assert started(result) == ["db"]
    assert waiting(result) == {"web": "db is not Healthy yet"}


def test_crashed__its_dependency_is_replaced__waits_for_that_as_it_was_not_stopped_by_us() -> None:
    db = builders.config("db")
    web = builders.config("web", depends_on=on("db", STARTED))
    memory = (dataclasses.replace(RESTARTING[0], restarting=False),)
    changed = dataclasses.replace(db, args=("x",))
    result = computed([changed, web], [builders.observed(db), ended(web)], ledger=memory)
    starts = {step.action.key.name: step for step in result.steps if isinstance(step.action, actions.StartContainer)}
    assert starts["db"].id in starts["web"].after


@pytest.mark.parametrize(("field", "message"), [("verified", "not verified"), ("available", "not on the disk")])
def test_image__may_not_be_used_and_is_held__whoever_starts_says_why(field: str, message: str) -> None:
    web = builders.config("web")
    image = dataclasses.replace(builders.observed_image(), **{field: False})
    hold = policy.Hold(ObjectKey(Kind.IMAGE, builders.IMAGE), Reason.UNAVAILABLE, "no answer")
    result = computed([web], [builders.observed(web, CREATED), image], holds=(hold,))
    assert waiting(result) == {"web": f"Image/{builders.IMAGE} is {message}: Unavailable"}


def test_image__may_not_be_used_and_nobody_declares_it__keeps_nobody() -> None:
    image = dataclasses.replace(builders.observed_image(), verified=False)
    desired = builders.desired(builders.config(), image=False)
    world = match.World(desired, builders.world(image), builders.rules())
    assert gates.image(world, ground.Ground(), builders.config()) == gates.Gate()
