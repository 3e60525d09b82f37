"""What a container that has to wait stays in, stays as well."""

import dataclasses

from agent.model import container, network, policy, state, volume
from agent.model.key import Kind, ObjectKey
from agent.plan import plan, planner
from tests import builders

NEVER = container.RestartConfig(container.RestartPolicy.NEVER, container.BackoffConfig(1.0, 2.0, 3.0))
DB = builders.config("db", restart=NEVER)
"""Has failed for good: whoever waits for it waits."""
OLD = builders.config(
    depends_on=(container.Dependency("db", container.DependencyCondition.HEALTHY),),
    networks=(container.NetworkAttachment("shop"),),
    mounts=(container.VolumeMount("data", "/data", read_only=False),),
)
SHOP = builders.network_config()
DATA = builders.volume_config(policy=volume.DeletionPolicy.DELETE)


def planned(desired: state.DesiredState, *existing: object, **fields: object) -> plan.Plan:
    """Plan over a ``web`` that runs and a ``db`` that has failed."""
    observed = builders.world(
        builders.exited(DB, 1),
        builders.observed(OLD),
        builders.observed_image(),
        builders.observed_volume(DATA),
        *existing,
    )
    return planner.compute_plan(desired, observed, builders.rules(**fields))


def steps(computed: plan.Plan) -> list[tuple[str, str, tuple[int, ...]]]:
    return [(type(step.action).__name__, str(step.action.key), step.after) for step in computed.steps]


def waiting(computed: plan.Plan) -> dict[str, tuple[str, str]]:
    return {str(blocked.key): (blocked.reason, blocked.message) for blocked in computed.blocked}


def test_orphans__of_a_container_whose_replacement_waits__stay_until_it_has_left_them() -> None:
    new = dataclasses.replace(OLD, networks=(), mounts=(), image="docker.io/library/app:2")
    moved = builders.image_config(new.image)
    desired = builders.desired(dataclasses.replace(DB, image=new.image), new, moved, image=False)
    computed = planned(desired, builders.observed_network(SHOP), builders.observed_image(moved, "b"))
    kept = ("InUse", "still used by web")
    waiting_for_use = {key: message for key, message in waiting(computed).items() if message == kept}
    assert waiting_for_use.keys() == {"Network/shop", "Volume/data", f"Image/{builders.IMAGE}"}
    assert waiting(computed)["Container/web"][0] == "WaitingForDependency"
    assert not [text for text, key, _ in steps(computed) if key in waiting_for_use or key == "Container/web"]


def test_network__made_anew_while_a_replacement_waits__the_old_one_leaves_it_and_comes_back() -> None:
    """To wait for it instead could wait for ever: what it waits for may need the new network."""
    new = dataclasses.replace(OLD, args=("x",))
    other = dataclasses.replace(SHOP, subnets=(network.Subnet("10.9.0.0/24", None, None),))
    computed = planned(builders.desired(DB, new, other, DATA), builders.observed_network(SHOP))
    assert steps(computed) == [
        ("DisconnectContainer", "Container/web", ()),
        ("RemoveNetwork", "Network/shop", (0,)),
        ("CreateNetwork", "Network/shop", (1,)),
        ("ConnectContainer", "Container/web", (0, 2)),
    ]
    assert waiting(computed)["Container/web"] == ("WaitingForDependency", "db is not Healthy: Stopped")


def test_network__made_anew_while_a_container_in_it_is_held__waits_and_others_stay_in_it() -> None:
    other = dataclasses.replace(SHOP, internal=True)
    api = builders.config("api", networks=OLD.networks)
    hold = policy.Hold(ObjectKey(Kind.CONTAINER, "web"), "InProgress", "an action is under way")
    existing = (builders.observed_network(SHOP), builders.observed(api))
    computed = planned(builders.desired(DB, OLD, api, other, DATA), *existing, holds=(hold,))
    assert steps(computed) == []
    assert waiting(computed)["Network/shop"] == ("InUse", "still used by web")
    free = planned(builders.desired(DB, OLD, api, other, DATA), *existing)
    assert [text for text, key, _ in steps(free) if key == "Network/shop"] == ["RemoveNetwork", "CreateNetwork"]
