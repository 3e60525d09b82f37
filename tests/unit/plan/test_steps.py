"""Whole plans, step by step with what each waits for: replacements, what interrupted ones have left, new networks."""

import dataclasses
import re

from agent.model import container, health, image, ledger, policy, state, volume
from agent.model.key import Kind, ObjectKey
from agent.plan import plan, planner
from agent.reasons import Reason
from tests import builders

CREATED, RUNNING, EXITED = (
    container.ContainerState.CREATED,
    container.ContainerState.RUNNING,
    container.ContainerState.EXITED,
)


def outline(computed: plan.Plan) -> list[str]:
    """Return a line for each step, with its action's fields and what it waits for; what is blocked; and all causes."""
    lines, causes = [], dict.fromkeys(step.action.cause for step in computed.steps)
    for step in computed.steps:
        fields = [type(step.action).__name__, step.action.key.name]
        for name in ("ref", "name", "network", "attachment", "resources", "labels", "supervision", "stop", "restart"):
            value = getattr(step.action, name, None)
            match value:
                case None:
                    continue
                case container.NetworkAttachment():
                    fields.append(f"attachment={value.network}")
                case container.StopConfig():
                    fields.append(f"stop={value.signal or '-'}/{value.grace_period:g}s")
                case str():
                    fields.append(f"{name}={value}")
                case _:
                    fields.append(name)
        after = f" after {', '.join(str(number) for number in step.after)}" if step.after else ""
        lines.append(re.sub(r"-[0-9a-f]{8}-new", "-HASH-new", f"{step.id} {' '.join(fields)}{after}"))
    waits = [f"- {blocked.key} {blocked.reason}: {blocked.message}" for blocked in computed.blocked]
    return lines + waits + [f"because {cause.reason}: {cause.message}" for cause in causes]


def steps(desired: state.DesiredState, observed: state.ObservedState, **fields: object) -> list[str]:
    """Plan, and outline it."""
    return outline(planner.compute_plan(desired, observed, builders.rules(**fields)))


def inside(*names: str) -> tuple[container.NetworkAttachment, ...]:
    """Return attachments to networks."""
    return tuple(container.NetworkAttachment(name) for name in names)


def hold(kind: Kind, name: str, reason: Reason, until: float | None = None) -> policy.Hold:
    """Return a hold on an object."""
    return policy.Hold(ObjectKey(kind, name), reason, "for a reason", until)


SHOP, LAN = builders.network_config("shop"), builders.network_config("lan")
REMADE = dataclasses.replace(SHOP, internal=True)
"""Cannot be changed in place: everybody has to leave it."""
WEB = builders.config(networks=inside("shop"))
OTHER = dataclasses.replace(WEB, args=("x",))
"""The same, declared otherwise: it has to be replaced."""
STOPPED_BY_US = builders.observed(WEB, EXITED, exit_code=0, stop_requested=True, finished_at=builders.NOW - 1)
RESTARTING = (ledger.LedgerEntry(ObjectKey(Kind.CONTAINER, "web"), "", streak=3, restarting=True),)
NEXT = "docker.io/library/app:2"
PATIENT = container.StopConfig("SIGINT", 5.0)


def successor(config: container.ContainerConfig, name: str, **fields: object) -> container.ObservedContainer:
    """Return what a replacement has made that was interrupted: it has no name of its own yet."""
    return builders.observed(config, id=f"id-{name}", name=f"web-{name}-new", **fields)


DEAD = health.ObservedHealth("id-web", True, False, False, "dead", builders.NOW - 5)


def test_network_made_anew__who_is_in_it__leaves_and_comes_back() -> None:
    desired = builders.desired(WEB, REMADE)
    observed = builders.world(builders.observed(WEB), builders.observed_network(SHOP))
    assert steps(desired, observed) == [
        "0 DisconnectContainer web ref=id-web network=shop",
        "1 RemoveNetwork shop name=shop after 0",
        "2 CreateNetwork shop after 1",
        "3 ConnectContainer web ref=id-web attachment=shop after 0, 2",
        "because Changed: network shop is made anew",
        "because Changed: internal: false -> true",
    ]


def test_network_made_anew__who_was_never_started__comes_back_before_it_starts() -> None:
    desired = builders.desired(WEB, REMADE)
    observed = builders.world(builders.observed(WEB, CREATED), builders.observed_network(SHOP))
    assert steps(desired, observed) == [
        "0 DisconnectContainer web ref=id-web network=shop",
        "1 RemoveNetwork shop name=shop after 0",
        "2 CreateNetwork shop after 1",
        "3 ConnectContainer web ref=id-web attachment=shop after 0, 2",
        "4 StartContainer web ref=id-web after 0, 2, 3",
        "because Changed: network shop is made anew",
        "because Changed: internal: false -> true",
        "because NotStarted: was made and never started",
    ]


def test_network_made_anew__whose_replacement_waits__leaves_and_comes_back_meanwhile() -> None:
    old = dataclasses.replace(WEB, networks=inside("lan", "shop"))
    new = dataclasses.replace(old, image=NEXT, stop=PATIENT)
    desired = builders.desired(new, REMADE, LAN, builders.image_config(NEXT))
    observed = builders.world(builders.observed(old), builders.observed_network(SHOP), builders.observed_network(LAN))
    assert steps(desired, observed, holds=(hold(Kind.IMAGE, NEXT, Reason.IMAGE_PULL_FAILED, builders.NOW + 9),)) == [
        "0 DisconnectContainer web ref=id-web network=shop",
        "1 RemoveNetwork shop name=shop after 0",
        "2 CreateNetwork shop after 1",
        "3 ConnectContainer web ref=id-web attachment=shop after 0, 2",
        "4 UpdateContainer web ref=id-web supervision",
        "- Container/web WaitingForDependency: Image/docker.io/library/app:2 is not there: ImagePullFailed",
        "- Image/docker.io/library/app:1 InUse: still used by web",
        "- Image/docker.io/library/app:2 ImagePullFailed: for a reason",
        "because Changed: network shop is made anew",
        "because Changed: internal: false -> true",
        "because Changed: stop: signal=-, gracePeriod=10.0 -> signal=SIGINT, gracePeriod=5.0",
    ]


def test_network_made_anew__its_declaration_cannot_be_read__only_leaves_and_comes_back() -> None:
    desired = builders.desired(WEB, REMADE)
    observed = builders.world(
        builders.observed(WEB, unreadable="made by a newer release"), builders.observed_network(SHOP)
    )
    assert steps(desired, observed) == [
        "0 DisconnectContainer web ref=id-web network=shop",
        "1 RemoveNetwork shop name=shop after 0",
        "2 CreateNetwork shop after 1",
        "3 ConnectContainer web ref=id-web attachment=shop after 0, 2",
        "- Container/web DeclarationUnreadable: made by a newer release",
        "because Changed: network shop is made anew",
        "because Changed: internal: false -> true",
    ]


def test_network_made_anew__who_is_replaced__stays_in_it_until_the_successor_is_made() -> None:
    data = builders.volume_config(policy=volume.DeletionPolicy.DELETE)
    mounts = (container.VolumeMount("data", "/data", read_only=False),)
    old = dataclasses.replace(WEB, networks=inside("lan", "shop"), mounts=mounts)
    new = dataclasses.replace(old, image=NEXT, mounts=(), stop=PATIENT)
    desired = builders.desired(new, REMADE, LAN, builders.image_config(NEXT))
    observed = builders.world(
        builders.observed(old),
        builders.observed_network(SHOP),
        builders.observed_network(LAN),
        builders.observed_volume(data),
    )
    assert steps(desired, observed) == [
        "0 EnsureImage docker.io/library/app:2",
        "1 UpdateContainer web ref=id-web supervision",
        "2 DisconnectContainer web ref=id-web network=shop after 0, 1",
        "3 RemoveNetwork shop name=shop after 2",
        "4 CreateNetwork shop after 3",
        "5 CreateContainer web name=web-HASH-new after 0, 1, 4",
        "6 ConnectContainer web ref=id-web attachment=shop after 2, 4",
        "7 StopContainer web ref=id-web stop=SIGINT/5s after 2, 5, 6",
        "8 RemoveContainer web ref=id-web after 7",
        "9 RenameContainer web ref=web-HASH-new name=web after 8",
        "10 StartContainer web ref=web after 4, 9",
        "11 RemoveImage docker.io/library/app:1 after 8",
        "12 RemoveVolume data name=data after 8",
        "because Missing: not there yet",
        "because Changed: stop: signal=-, gracePeriod=10.0 -> signal=SIGINT, gracePeriod=5.0",
        "because Changed: network shop is made anew",
        "because Changed: internal: false -> true",
        (
            "because Changed: image: docker.io/library/app:1 -> docker.io/library/app:2 (forces replacement); "
            "mounts: data:/data -> - (forces replacement); stop: signal=-, gracePeriod=10.0 -> signal=SIGINT, "
            "gracePeriod=5.0"
        ),
        "because Orphaned: no longer declared",
    ]


def test_network_made_anew__who_was_stopped_for_its_replacement__is_started_in_it_first() -> None:
    desired = builders.desired(OTHER, REMADE)
    observed = builders.world(STOPPED_BY_US, builders.observed_network(SHOP), ledger=RESTARTING)
    assert steps(desired, observed) == [
        "0 DisconnectContainer web ref=id-web network=shop",
        "1 RemoveNetwork shop name=shop after 0",
        "2 CreateNetwork shop after 1",
        "3 ConnectContainer web ref=id-web attachment=shop after 0, 2",
        "4 StartContainer web ref=id-web after 0, 2, 3",
        (
            "- Container/web WaitingForDependency: it is started again in a network that is made anew, and "
            "replaced after that"
        ),
        "because Changed: network shop is made anew",
        "because Changed: internal: false -> true",
        "because Interrupted: was stopped for a change that has not come about",
    ]


def test_network_made_anew__who_is_replaced_was_in_another_one_too__that_goes_with_the_old_one() -> None:
    old = dataclasses.replace(WEB, networks=inside("lan", "shop"))
    new = dataclasses.replace(WEB, args=("x",))
    observed = builders.world(builders.observed(old), builders.observed_network(SHOP), builders.observed_network(LAN))
    assert steps(builders.desired(new, REMADE), observed) == [
        "0 DisconnectContainer web ref=id-web network=shop",
        "1 RemoveNetwork shop name=shop after 0",
        "2 CreateNetwork shop after 1",
        "3 CreateContainer web name=web-HASH-new after 2",
        "4 ConnectContainer web ref=id-web attachment=shop after 0, 2",
        "5 StopContainer web ref=id-web stop=-/10s after 0, 3, 4",
        "6 RemoveContainer web ref=id-web after 5",
        "7 RemoveNetwork lan name=lan after 6",
        "8 RenameContainer web ref=web-HASH-new name=web after 6",
        "9 StartContainer web ref=web after 2, 8",
        "because Changed: network shop is made anew",
        "because Changed: internal: false -> true",
        "because Changed: args: - -> x (forces replacement); networks: lan shop -> shop",
        "because Orphaned: no longer declared",
    ]


def test_networks__left_and_entered_and_limits_changed__in_place_in_this_order() -> None:
    old = dataclasses.replace(WEB, networks=inside("lan", "shop"))
    limits = container.Resources(500, None, None, None)
    new = dataclasses.replace(old, networks=inside("shop", "spare"), labels=(("app", "x"),), resources=limits)
    spare = builders.network_config("spare")
    desired = builders.desired(new, REMADE, spare)
    observed = builders.world(builders.observed(old), builders.observed_network(SHOP), builders.observed_network(LAN))
    assert steps(desired, observed) == [
        "0 DisconnectContainer web ref=id-web network=lan",
        "1 DisconnectContainer web ref=id-web network=shop",
        "2 RemoveNetwork lan name=lan after 0",
        "3 RemoveNetwork shop name=shop after 1",
        "4 CreateNetwork shop after 3",
        "5 CreateNetwork spare",
        "6 ConnectContainer web ref=id-web attachment=shop after 0, 1, 4",
        "7 ConnectContainer web ref=id-web attachment=spare after 0, 1, 5, 6",
        "8 UpdateContainer web ref=id-web resources labels",
        "because Changed: networks: lan shop -> shop spare",
        "because Orphaned: no longer declared",
        "because Changed: internal: false -> true",
        "because Missing: not there yet",
        "because Changed: labels: - -> app=x; resources: cpus=- -> cpus=0.5",
    ]


def test_network__other_aliases_in_it__leaves_and_comes_back() -> None:
    desired = builders.desired(
        dataclasses.replace(WEB, networks=(container.NetworkAttachment("shop", aliases=("www",)),)), SHOP
    )
    observed = builders.world(builders.observed(WEB), builders.observed_network(SHOP))
    assert steps(desired, observed) == [
        "0 DisconnectContainer web ref=id-web network=shop",
        "1 ConnectContainer web ref=id-web attachment=shop after 0",
        "because Changed: networks: shop -> shop:www",
    ]


def test_network__not_declared_any_more__goes_once_who_stays_has_left_it() -> None:
    old = dataclasses.replace(WEB, networks=inside("lan", "shop"))
    desired = builders.desired(dataclasses.replace(old, networks=inside("lan")), LAN)
    observed = builders.world(builders.observed(old), builders.observed_network(SHOP), builders.observed_network(LAN))
    assert steps(desired, observed) == [
        "0 DisconnectContainer web ref=id-web network=shop",
        "1 RemoveNetwork shop name=shop after 0",
        "because Changed: networks: lan shop -> lan",
        "because Orphaned: no longer declared",
    ]


def test_replacement__making_it_has_failed_before_and_the_old_one_runs__is_only_tried_again() -> None:
    desired = builders.desired(OTHER, SHOP)
    observed = builders.world(builders.observed(WEB), builders.observed_network(SHOP))
    assert steps(
        desired, observed, holds=(hold(Kind.CONTAINER, "web", Reason.MOUNT_SOURCE_MISSING, builders.NOW - 1),)
    ) == [
        "0 CreateContainer web name=web-HASH-new",
        "1 StopContainer web ref=id-web stop=-/10s after 0",
        "2 RemoveContainer web ref=id-web after 1",
        "3 RenameContainer web ref=web-HASH-new name=web after 2",
        "4 StartContainer web ref=web after 3",
        "because Changed: args: - -> x (forces replacement)",
    ]


def test_replacement__stopped_for_it_and_what_it_depends_on_has_not_come__stays_down() -> None:
    waits = dataclasses.replace(OTHER, depends_on=(container.Dependency("db", container.DependencyCondition.STARTED),))
    desired = builders.desired(waits, SHOP)
    observed = builders.world(STOPPED_BY_US, builders.observed_network(SHOP), ledger=RESTARTING)
    assert steps(desired, observed) == [
        "0 UpdateContainer web ref=id-web supervision",
        "- Container/web WaitingForDependency: db is not Started yet",
        "because Changed: dependsOn: - -> db:Started",
    ]


def test_replacement__stopped_for_it_and_its_image_is_loaded_anew__runs_until_that_is_there() -> None:
    archive = dataclasses.replace(builders.image_config(), source=image.ArchiveSource("/a.tar", "2"))
    desired = builders.desired(OTHER, SHOP, archive)
    observed = builders.world(STOPPED_BY_US, builders.observed_network(SHOP), ledger=RESTARTING)
    assert steps(desired, observed) == [
        "0 EnsureImage docker.io/library/app:1",
        "1 StartContainer web ref=id-web",
        "2 CreateContainer web name=web-HASH-new after 0, 1",
        "3 StopContainer web ref=id-web stop=-/10s after 2",
        "4 RemoveContainer web ref=id-web after 3",
        "5 RenameContainer web ref=web-HASH-new name=web after 4",
        "6 StartContainer web ref=web after 5",
        "because Changed: archive changed",
        "because Interrupted: was stopped for a change that has not come about",
        "because Changed: args: - -> x (forces replacement)",
    ]


def test_interrupted__the_successor_is_made_and_the_old_one_gone__takes_the_name_and_starts() -> None:
    desired = builders.desired(OTHER, SHOP)
    observed = builders.world(successor(OTHER, "a", state=CREATED), builders.observed_network(SHOP))
    assert steps(desired, observed) == [
        "0 RenameContainer web ref=id-a name=web",
        "1 StartContainer web ref=id-a after 0",
        "because Interrupted: goes on with an interrupted replacement",
    ]


def test_interrupted__the_successor_runs_already__only_takes_the_name() -> None:
    desired = builders.desired(OTHER, SHOP)
    observed = builders.world(successor(OTHER, "a"), builders.observed_network(SHOP))
    assert steps(desired, observed) == [
        "0 RenameContainer web ref=id-a name=web",
        "because Interrupted: goes on with an interrupted replacement",
    ]


def test_interrupted__the_successor_differs_in_what_can_change_in_place__is_changed_before_it_starts() -> None:
    changed = dataclasses.replace(OTHER, resources=container.Resources(500, None, None, None))
    desired = builders.desired(changed, REMADE)
    observed = builders.world(successor(OTHER, "a", state=CREATED), builders.observed_network(SHOP))
    assert steps(desired, observed) == [
        "0 RenameContainer web ref=id-a name=web",
        "1 DisconnectContainer web ref=id-a network=shop after 0",
        "2 RemoveNetwork shop name=shop after 1",
        "3 CreateNetwork shop after 2",
        "4 ConnectContainer web ref=id-a attachment=shop after 0, 1, 3",
        "5 UpdateContainer web ref=id-a resources after 0",
        "6 StartContainer web ref=id-a after 0, 1, 3, 4, 5",
        "because Interrupted: goes on with an interrupted replacement",
        "because Changed: network shop is made anew",
        "because Changed: internal: false -> true",
        "because Changed: resources: cpus=- -> cpus=0.5",
    ]


def test_interrupted__the_successor_is_made_beside_the_old_one__goes_on_from_there() -> None:
    desired = builders.desired(OTHER, SHOP)
    observed = builders.world(
        builders.observed(WEB), successor(OTHER, "a", state=CREATED), builders.observed_network(SHOP)
    )
    assert steps(desired, observed) == [
        "0 StopContainer web ref=id-web stop=-/10s",
        "1 RemoveContainer web ref=id-web after 0",
        "2 RenameContainer web ref=id-a name=web after 1",
        "3 StartContainer web ref=web after 2",
        "because Changed: args: - -> x (forces replacement)",
    ]


def test_interrupted__two_are_made_and_one_is_as_declared__the_other_goes_first() -> None:
    stale = dataclasses.replace(WEB, args=("y",))
    desired = builders.desired(OTHER, SHOP)
    observed = builders.world(
        builders.observed(WEB),
        successor(OTHER, "a", state=CREATED),
        successor(stale, "b"),
        builders.observed_network(SHOP),
    )
    assert steps(desired, observed) == [
        "0 StopContainer web ref=id-b stop=-/10s",
        "1 RemoveContainer web ref=id-b after 0",
        "2 StopContainer web ref=id-web stop=-/10s after 1",
        "3 RemoveContainer web ref=id-web after 2",
        "4 RenameContainer web ref=id-a name=web after 3",
        "5 StartContainer web ref=web after 4",
        "because Interrupted: left by an interrupted replacement",
        "because Changed: args: - -> x (forces replacement)",
    ]


def test_interrupted__the_old_one_is_gone_and_of_two_one_is_as_declared__the_other_goes_first() -> None:
    stale = dataclasses.replace(WEB, args=("y",))
    desired = builders.desired(OTHER, SHOP)
    observed = builders.world(
        successor(OTHER, "a", state=CREATED), successor(stale, "b"), builders.observed_network(SHOP)
    )
    assert steps(desired, observed) == [
        "0 StopContainer web ref=id-b stop=-/10s",
        "1 RemoveContainer web ref=id-b after 0",
        "2 RenameContainer web ref=id-a name=web after 1",
        "3 StartContainer web ref=id-a after 2",
        "because Interrupted: left by an interrupted replacement",
        "because Interrupted: goes on with an interrupted replacement",
    ]


def test_interrupted__none_is_as_declared__the_newest_takes_the_name_and_is_replaced() -> None:
    first, second = (dataclasses.replace(WEB, args=(word,)) for word in ("y", "z"))
    desired = builders.desired(OTHER, SHOP)
    observed = builders.world(
        successor(first, "a", created_at=901.0),
        successor(second, "b", state=CREATED, created_at=902.0),
        builders.observed_network(SHOP),
    )
    assert steps(desired, observed) == [
        "0 StopContainer web ref=id-a stop=-/10s",
        "1 RemoveContainer web ref=id-a after 0",
        "2 RenameContainer web ref=id-b name=web after 1",
        "3 CreateContainer web name=web-HASH-new after 2",
        "4 RemoveContainer web ref=id-b after 3",
        "5 RenameContainer web ref=web-HASH-new name=web after 4",
        "6 StartContainer web ref=web after 5",
        "because Interrupted: left by an interrupted replacement",
        "because Interrupted: goes on with an interrupted replacement",
        "because Changed: args: z -> x (forces replacement)",
    ]


def test_interrupted__the_old_one_is_declared_again__what_was_made_goes() -> None:
    desired = builders.desired(WEB, SHOP)
    observed = builders.world(builders.observed(WEB), successor(OTHER, "a"), builders.observed_network(SHOP))
    assert steps(desired, observed) == [
        "0 StopContainer web ref=id-a stop=-/10s",
        "1 RemoveContainer web ref=id-a after 0",
        "because Interrupted: left by an interrupted replacement",
    ]


def test_interrupted__nobody_knows_what_the_successor_was_made_from__another_one_is_made() -> None:
    desired = builders.desired(OTHER, SHOP)
    observed = builders.world(
        builders.observed(WEB),
        successor(OTHER, "a", unreadable="made by a newer release"),
        builders.observed_network(SHOP),
    )
    assert steps(desired, observed) == [
        "0 StopContainer web ref=id-a stop=-/10s",
        "1 RemoveContainer web ref=id-a after 0",
        "2 CreateContainer web name=web-HASH-new after 1",
        "3 StopContainer web ref=id-web stop=-/10s after 2",
        "4 RemoveContainer web ref=id-web after 3",
        "5 RenameContainer web ref=web-HASH-new name=web after 4",
        "6 StartContainer web ref=web after 5",
        "because Interrupted: left by an interrupted replacement",
        "because Changed: args: - -> x (forces replacement)",
    ]


def test_restart__what_it_depends_on_is_not_ready__is_not_even_stopped() -> None:
    probes = health.HealthConfig(None, health.Probe(health.TcpProbe(1), 0, 1, 1, 1, 1), None)
    db = builders.config("db", health=probes)
    web = builders.config(depends_on=(container.Dependency("db", container.DependencyCondition.HEALTHY),))
    desired = builders.desired(web, db)
    observed = builders.world(builders.observed(web), builders.observed(db), health=(DEAD,))
    assert steps(desired, observed) == [
        "- Container/web WaitingForDependency: db is not Healthy yet",
    ]


def test_restart__its_probes_call_it_dead__is_stopped_as_declared_and_counted_by_that_alone() -> None:
    web = builders.config(stop=PATIENT)
    desired = builders.desired(web)
    observed = builders.world(builders.observed(web), health=(DEAD,))
    assert steps(desired, observed) == [
        "0 StopContainer web ref=id-web stop=SIGINT/5s restart=unhealthy",
        "1 StartContainer web ref=id-web after 0",
        "because Unhealthy: dead",
    ]


def test_orphan__held__keeps_what_it_uses() -> None:
    desired = builders.desired()
    observed = builders.world(builders.observed(WEB), successor(OTHER, "a"), builders.observed_network(SHOP))
    assert steps(desired, observed, holds=(hold(Kind.CONTAINER, "web", Reason.IN_PROGRESS),)) == [
        "- Container/web InProgress: for a reason",
        "- Network/shop InUse: still used by web, web-a-new",
    ]


def test_orphans__all_that_is_left_of_them_goes__before_what_they_use() -> None:
    desired = builders.desired()
    observed = builders.world(
        builders.observed(WEB), successor(OTHER, "a", state=CREATED), builders.observed_network(SHOP)
    )
    assert steps(desired, observed) == [
        "0 StopContainer web ref=id-web stop=-/10s",
        "1 RemoveContainer web ref=id-web after 0",
        "2 RemoveContainer web ref=id-a",
        "3 RemoveNetwork shop name=shop after 1, 2",
        "because Orphaned: no longer declared",
    ]


def test_foreign__has_the_name_of_what_an_interrupted_replacement_has_left__nothing_is_touched() -> None:
    desired = builders.desired(OTHER, SHOP)
    observed = builders.world(
        builders.observed(WEB, labels=(), id="theirs"), successor(OTHER, "a"), builders.observed_network(SHOP)
    )
    assert steps(desired, observed) == [
        "- Container/web Foreign: container web is there already and not ours",
    ]


CRASHED = builders.observed(WEB, EXITED, exit_code=1, started_at=0.0, finished_at=builders.NOW - 1)
REMEMBERED = (ledger.LedgerEntry(ObjectKey(Kind.CONTAINER, "web"), "", streak=1),)


def test_network_made_anew__who_is_replaced_by_one_outside_it__only_leaves() -> None:
    old = dataclasses.replace(WEB, networks=inside("lan", "shop"))
    desired = builders.desired(dataclasses.replace(OTHER, networks=inside("lan")), REMADE, LAN)
    observed = builders.world(builders.observed(old), builders.observed_network(SHOP), builders.observed_network(LAN))
    assert steps(desired, observed) == [
        "0 DisconnectContainer web ref=id-web network=shop",
        "1 CreateContainer web name=web-HASH-new",
        "2 StopContainer web ref=id-web stop=-/10s after 0, 1",
        "3 RemoveContainer web ref=id-web after 2",
        "4 RemoveNetwork shop name=shop after 0",
        "5 CreateNetwork shop after 4",
        "6 RenameContainer web ref=web-HASH-new name=web after 3",
        "7 StartContainer web ref=web after 6",
        "because Changed: network shop is made anew",
        "because Changed: args: - -> x (forces replacement); networks: lan shop -> lan",
        "because Changed: internal: false -> true",
    ]


def test_interrupted__two_are_made_and_the_second_is_as_declared__is_the_one_that_stays() -> None:
    stale = successor(dataclasses.replace(WEB, args=("y",)), "a", state=CREATED)
    observed = builders.world(
        builders.observed(WEB), stale, successor(OTHER, "b", state=CREATED), builders.observed_network(SHOP)
    )
    assert steps(builders.desired(OTHER, SHOP), observed) == [
        "0 RemoveContainer web ref=id-a",
        "1 StopContainer web ref=id-web stop=-/10s after 0",
        "2 RemoveContainer web ref=id-web after 1",
        "3 RenameContainer web ref=id-b name=web after 2",
        "4 StartContainer web ref=web after 3",
        "because Interrupted: left by an interrupted replacement",
        "because Changed: args: - -> x (forces replacement)",
    ]


def test_interrupted__stopped_for_a_successor_that_is_made__is_not_started_again() -> None:
    observed = builders.world(
        STOPPED_BY_US, successor(OTHER, "a", state=CREATED), builders.observed_network(SHOP), ledger=RESTARTING
    )
    assert steps(builders.desired(OTHER, SHOP), observed) == [
        "0 RemoveContainer web ref=id-web",
        "1 RenameContainer web ref=id-a name=web after 0",
        "2 StartContainer web ref=web after 1",
        "because Changed: args: - -> x (forces replacement)",
    ]


def test_replacement__crashed_before_it_begins__is_not_started_for_the_moment_until_then() -> None:
    observed = builders.world(CRASHED, builders.observed_network(SHOP), ledger=REMEMBERED)
    assert steps(builders.desired(OTHER, SHOP), observed) == [
        "0 CreateContainer web name=web-HASH-new",
        "1 RemoveContainer web ref=id-web after 0",
        "2 RenameContainer web ref=web-HASH-new name=web after 1",
        "3 StartContainer web ref=web after 2",
        "because Changed: args: - -> x (forces replacement)",
    ]


def test_replacement__crashed_and_its_image_is_still_to_be_fetched__runs_until_that_is_there() -> None:
    new = dataclasses.replace(WEB, image=NEXT)
    observed = builders.world(CRASHED, builders.observed_network(SHOP), ledger=REMEMBERED)
    assert steps(builders.desired(new, SHOP, builders.image_config(NEXT)), observed) == [
        "0 EnsureImage docker.io/library/app:2",
        "1 StartContainer web ref=id-web restart=exit",
        "2 CreateContainer web name=web-HASH-new after 0, 1",
        "3 StopContainer web ref=id-web stop=-/10s after 2",
        "4 RemoveContainer web ref=id-web after 3",
        "5 RenameContainer web ref=web-HASH-new name=web after 4",
        "6 StartContainer web ref=web after 5",
        "7 RemoveImage docker.io/library/app:1 after 4",
        "because Missing: not there yet",
        "because Exited: exited with 1",
        "because Changed: image: docker.io/library/app:1 -> docker.io/library/app:2 (forces replacement)",
        "because Orphaned: no longer declared",
    ]


def test_restart__its_probes_have_called_it_dead_for_as_long_as_its_back_off__is_due() -> None:
    memory = (dataclasses.replace(REMEMBERED[0], streak=3),)
    observed = builders.world(builders.observed(WEB), builders.observed_network(SHOP), health=(DEAD,), ledger=memory)
    assert steps(builders.desired(WEB, SHOP), observed) == [
        "0 StopContainer web ref=id-web stop=-/10s restart=unhealthy",
        "1 StartContainer web ref=id-web after 0",
        "because Unhealthy: dead",
    ]


def test_ended__stopped_by_people_with_code_0__says_that_it_stays_so() -> None:
    unless = container.RestartConfig(container.RestartPolicy.UNLESS_STOPPED, WEB.restart.backoff)
    web = builders.config(restart=unless)
    stopped = builders.observed(web, EXITED, exit_code=0, stop_requested=True, finished_at=builders.NOW - 1)
    assert steps(builders.desired(web), builders.world(stopped)) == [
        "- Container/web Stopped: exited with 0, and its policy is UnlessStopped",
    ]


def test_orphan__held_for_a_time__says_until_when() -> None:
    held = hold(Kind.CONTAINER, "web", Reason.UNAVAILABLE, builders.NOW + 9)
    computed = planner.compute_plan(
        builders.desired(), builders.world(builders.observed(WEB)), builders.rules(holds=(held,))
    )
    assert [(blocked.reason, blocked.until) for blocked in computed.blocked] == [(Reason.UNAVAILABLE, builders.NOW + 9)]
    assert computed.wake_at == builders.NOW + 9


def test_volume__of_the_same_name_as_a_network_that_its_user_leaves__stays_with_its_data() -> None:
    mounts = (container.VolumeMount("shop", "/data", read_only=False),)
    unreadable = builders.observed(dataclasses.replace(WEB, mounts=mounts), unreadable="made by a newer release")
    shop = builders.volume_config("shop", policy=volume.DeletionPolicy.DELETE)
    observed = builders.world(unreadable, builders.observed_network(SHOP), builders.observed_volume(shop))
    computed = planner.compute_plan(builders.desired(WEB, REMADE), observed, builders.rules())
    assert "RemoveVolume" not in {type(step.action).__name__ for step in computed.steps}
    assert (ObjectKey(Kind.VOLUME, "shop"), Reason.IN_USE) in {
        (blocked.key, blocked.reason) for blocked in computed.blocked
    }
