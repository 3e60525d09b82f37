"""Foreign containers as observed state, from the engine's list alone. Pure."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from agent.drivers.docker import names as tables
from agent.drivers.docker import translate
from agent.model import container, health
from agent.model.key import ownership_of, pairs, without_ownership
from agent.oci import reference

UNDECLARED = container.ContainerConfig(
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
"""A config in which nothing is declared."""


def observed_container(summary: Mapping[str, Any], names: tables.Names) -> container.ObservedContainer:
    """Return a foreign container's state from its list entry, with what it uses, so that nothing of that is removed."""
    name = names.declared_container(str((summary.get("Names") or ["/"])[0]).removeprefix("/"))
    labels = translate.without_declaration(summary.get("Labels") or {})
    mounts = summary.get("Mounts") or ()
    config = dataclasses.replace(
        UNDECLARED,
        name=name,
        image=_reference(str(summary.get("Image", ""))),
        networks=tuple(
            container.NetworkAttachment(names.declared_network(engine_name))
            for engine_name in sorted(translate.endpoints_of(summary, names))
        ),
        mounts=tuple(
            container.VolumeMount(
                names.declared_volume(str(mount["Name"])),
                str(mount.get("Destination", "")),
                read_only=not mount.get("RW"),
            )
            for mount in mounts
            if mount.get("Type") == "volume" and mount.get("Name")
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


def config_of_unreadable(summary: Mapping[str, Any], names: tables.Names) -> container.ContainerConfig:
    """Return a config for a container of ours whose declaration cannot be read; its stop config is a default."""
    labels = summary.get("Labels") or {}
    config = observed_container(summary, names).config
    owned = ownership_of(pairs(labels))
    name, ordinal = (config.name, 0) if owned is None else (owned.key.name, owned.key.ordinal)
    return dataclasses.replace(config, name=name, ordinal=ordinal, labels=without_ownership(pairs(labels)))


def _reference(text: str) -> str:
    """Return an image's canonical reference; the engine's text for an image that has lost its name."""
    try:
        return str(reference.parse(text))
    except reference.InvalidReference:
        return text
