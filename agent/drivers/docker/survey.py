"""What somebody else has made, read as well as it can be said in the house's words. Pure."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from agent.drivers.docker import names as tables
from agent.drivers.docker import translate
from agent.model import container, health
from agent.model.key import pairs
from agent.oci import reference

PLAIN = container.ContainerConfig(
    name="",
    image="",
    labels=(),
    command=None,
    args=None,
    env=(),
    working_dir="",
    hostname="",
    ports=(),
    network_mode=container.NetworkMode.NETWORKS,
    networks=(),
    mounts=(),
    restart=container.RestartConfig(container.RestartPolicy.NEVER, container.BackoffConfig(1.0, 300.0, 600.0)),
    health=health.HealthConfig(None, None, None),
    resources=container.Resources(None, None, None, None),
    security=container.Security(
        "", (), (), read_only_rootfs=False, no_new_privileges=True, seccomp=container.SeccompProfile.DEFAULT
    ),
    stop=container.StopConfig("", 10.0),
    update=container.UpdateStrategy.RECREATE,
    depends_on=(),
)
"""A container of which nothing is said."""


def observed_stranger(summary: Mapping[str, Any], names: tables.Names) -> container.ObservedContainer:
    """Say what the list tells of a container that is not ours: what it uses, so that nobody takes it away from it."""
    name = names.declared_container(str((summary.get("Names") or ["/"])[0]).removeprefix("/"))
    labels = {key: text for key, text in (summary.get("Labels") or {}).items() if key != translate.CONFIG_LABEL}
    mounts = summary.get("Mounts") or ()
    config = dataclasses.replace(
        PLAIN,
        name=name,
        image=_reference(str(summary.get("Image", ""))),
        networks=tuple(
            container.NetworkAttachment(names.declared_network(one))
            for one in sorted(translate.endpoints_of(summary, names))
        ),
        mounts=tuple(
            container.VolumeMount(
                names.declared_volume(str(one["Name"])), str(one.get("Destination", "")), read_only=not one.get("RW")
            )
            for one in mounts
            if one.get("Type") == "volume" and one.get("Name")
        ),
    )
    running = str(summary.get("State")) in {"running", "paused", "restarting"}
    return container.ObservedContainer(
        id=str(summary["Id"]),
        name=name,
        config=config,
        labels=pairs(labels),
        image_id=str(summary.get("ImageID", "")),
        state=container.ContainerState.RUNNING if running else container.ContainerState.EXITED,
        pid=None,
        exit_code=None,
        oom_killed=False,
        stop_requested=False,
        created_at=float(summary.get("Created") or 0),
        started_at=None,
        finished_at=None,
        addresses=(),
    )


def _reference(text: str) -> str:
    """Give an image's canonical reference; of one that has lost its name, what is said in its place."""
    try:
        return str(reference.parse(text))
    except reference.InvalidReference:
        return text
