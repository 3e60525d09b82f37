"""Kubernetes' and Compose's spellings of what manifests say otherwise, and what to type instead: one table.

No hint has anything of a value in it, but for the names in a reference to a Secret.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from agent.manifests.v1 import forms

_NAME = re.compile(forms.LABEL_NAME)
_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")
_OF_KUBECTL = "leave it out: kubectl get prints it, nobody declares it"
_CONFIG = "kind Config is not built yet: write the value itself, or name a file of NAME=VALUE lines in envFile"
_ENV = "did you mean env: {NAME: VALUE}?"
_ENV_FROM = "did you mean env: {NAME: {secret: NAME, key: KEY}} for each value, or envFile: [PATH]?"
_SECONDS = "did you mean {}: 10s?"


def _same(names: Iterable[str], hint: str) -> dict[str, str]:
    return dict.fromkeys(names, hint)


METADATA = {
    "namespace": "leave it out: there are no namespaces, a name is unique on the host",
    "generateName": "did you mean name? It is the whole name",
    **_same(("creationTimestamp", "uid", "resourceVersion", "generation", "selfLink", "managedFields"), _OF_KUBECTL),
    **_same(("ownerReferences", "finalizers", "deletionTimestamp", "deletionGracePeriodSeconds"), _OF_KUBECTL),
}
OBJECT = {"status": "leave it out: trimtab status prints it, nobody declares it"}
_SECRET = {
    "immutable": "leave it out: a value that has changed replaces the containers that use it",
    "binaryData": "did you mean data?",
    "spec": "did you mean stringData? A Secret has no spec",
}
_CONTAINER = {
    "environment": _ENV,
    "env_file": "did you mean envFile: [PATH]?",
    "envFrom": _ENV_FROM,
    "name": "did you mean metadata: {name: NAME}?",
    "container_name": "did you mean metadata: {name: NAME}?",
    "labels": "did you mean metadata: {labels: {NAME: VALUE}}?",
    "annotations": "did you mean metadata: {annotations: {NAME: VALUE}}?",
    "containers": "a Container is one container: its image and the rest stand in spec itself",
    "initContainers": "did you mean another Container, and dependsOn: [{container: NAME, condition: Completed}]?",
    "template": "a Container has no template: its image and the rest stand in spec itself",
    "entrypoint": "did you mean command? It replaces ENTRYPOINT, and args replaces CMD",
    "volumes": "did you mean mounts: [{volume: NAME, path: /data}], or {bind: /srv, path: /data}?",
    "volumeMounts": "did you mean mounts: [{volume: NAME, path: /data}]?",
    "tmpfs": "did you mean mounts: [{tmpfs: 64Mi, path: /tmp}]?",
    "secrets": "did you mean env: {NAME: {secret: NAME, key: KEY}}?",
    "restartPolicy": "did you mean restart: {policy: Always}?",
    "livenessProbe": "did you mean health: {liveness: {…}}?",
    "readinessProbe": "did you mean health: {readiness: {…}}?",
    "startupProbe": "did you mean health: {startup: {…}}?",
    "healthcheck": "did you mean health: {readiness: {exec: [COMMAND]}}?",
    "securityContext": "did you mean security? See trimtab explain container.spec.security",
    "user": 'did you mean security: {user: "1000:1000"}?',
    "cap_add": "did you mean security: {capabilities: {add: [NAME]}}?",
    "cap_drop": "did you mean security: {capabilities: {drop: [NAME]}}?",
    "read_only": "did you mean security: {readOnlyRootfs: true}?",
    "privileged": "that is not built: name what it needs in security: {capabilities: {add: [NAME]}}",
    "mem_limit": "did you mean resources: {memory: 128Mi}?",
    "mem_reservation": "did you mean resources: {memoryReservation: 64Mi}?",
    "memory": "did you mean resources: {memory: 128Mi}?",
    "cpus": "did you mean resources: {cpus: 0.5}?",
    "pids_limit": "did you mean resources: {pids: 100}?",
    "deploy": "did you mean resources, restart or update?",
    "stop_grace_period": "did you mean stop: {gracePeriod: 10s}?",
    "terminationGracePeriodSeconds": "did you mean stop: {gracePeriod: 10s}?",
    "stop_signal": "did you mean stop: {signal: SIGTERM}?",
    "network_mode": "did you mean networks: host, none or bridge?",
    "hostNetwork": "did you mean networks: host?",
    "imagePullPolicy": "did you mean image: {name: NAME}, and an Image with pull: {policy: Always}?",
    "pull_policy": "did you mean image: {name: NAME}, and an Image with pull: {policy: Always}?",
    "imagePullSecrets": "leave it out: every Secret of type kubernetes.io/dockerconfigjson in the source is used",
}
_PORT = {
    **_same(("containerPort", "target", "targetPort"), "did you mean container?"),
    **_same(("hostPort", "published", "port"), "did you mean host?"),
    **_same(("hostIP", "host_ip", "ip"), "did you mean address?"),
    "name": "leave it out: ports have no names",
    "mode": "leave it out: every port is the host's",
}
_MOUNT = {
    **_same(("mountPath", "target", "destination"), "did you mean path?"),
    "hostPath": "did you mean bind? It is a path of the host",
    "source": "did you mean volume: NAME, or bind: /srv?",
    "name": "did you mean volume?",
    "type": "leave it out: what it is, volume, bind or tmpfs says",
    "claimName": "did you mean volume?",
}
_PROBE = {
    "tcpSocket": "did you mean tcp?",
    "test": "did you mean exec: [COMMAND]?",
    **_same(("periodSeconds", "interval"), _SECONDS.format("period")),
    **_same(("initialDelaySeconds", "start_period"), _SECONDS.format("initialDelay")),
    "timeoutSeconds": _SECONDS.format("timeout"),
    "retries": "did you mean failureThreshold?",
}
_HEALTH = {
    **{f"{name}Probe": f"did you mean {name}?" for name in ("startup", "readiness", "liveness")},
    **_same(("test", "interval", "retries"), "did you mean readiness: {exec: [COMMAND], period: 10s}?"),
}
_RESOURCES = {
    "limits": "did you mean memory: 128Mi, or cpus: 0.5? Limits stand in resources itself",
    "requests": "did you mean memoryReservation: 64Mi?",
}
_SECURITY = {
    **_same(("runAsUser", "runAsGroup"), 'did you mean user: "1000:1000"?'),
    "readOnlyRootFilesystem": "did you mean readOnlyRootfs?",
    "allowPrivilegeEscalation": "did you mean noNewPrivileges, which is its opposite?",
    "seccompProfile": "did you mean seccomp: Default, or Unconfined?",
    "privileged": "that is not built: name what it needs in capabilities: {add: [NAME]}",
}
_REFERENCE = {
    "optional": "leave it out: a Secret and its key have to be declared",
    "name": "did you mean secret?",
}
FIELDS: Mapping[str, Mapping[str, str]] = {
    "container.spec": _CONTAINER,
    "container.spec.env": _REFERENCE,
    "container.spec.ports": _PORT,
    "container.spec.mounts": _MOUNT,
    "container.spec.health": _HEALTH,
    **{f"container.spec.health.{name}": _PROBE for name in ("startup", "readiness", "liveness")},
    "container.spec.resources": _RESOURCES,
    "container.spec.security": _SECURITY,
    "secret": _SECRET,
}
"""By what ``trimtab explain`` calls the place; ``METADATA`` and ``OBJECT`` are every kind's."""
_INTENDED = re.compile(r"did you mean ([A-Za-z]+)")
_RESTARTS = {"unless-stopped": "UnlessStopped", "on-failure": "OnFailure", "no": "Never"}
KINDS: Mapping[str, str] = {
    "Secret": "a Secret is the same here, but for its first line: apiVersion: trimtab.dev/v1",
    "ConfigMap": _CONFIG,
    "List": "write its items as documents of their own, with --- between them",
    "PersistentVolumeClaim": "did you mean kind: Volume? See trimtab explain volume",
    **_same(
        ("Pod", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob"),
        "did you mean kind: Container? See trimtab explain container",
    ),
}
"""Of Kubernetes' kinds."""


def of_field(place: str, name: str) -> str:
    """Return what to type instead of an unknown field; empty where nobody else calls anything so.

    ``place``: as ``trimtab explain`` takes it.
    """
    if place.endswith(".metadata"):
        return METADATA.get(name, "")
    return FIELDS.get(place, {}).get(name, "") or (OBJECT.get(name, "") if "." not in place else "")


def intended_field(place: str, name: str) -> str:
    """Return the field that an unknown one stands for; empty where none does."""
    match = _INTENDED.match(of_field(place, name))
    return match[1] if match else ""


def of_value(place: str, below: Sequence[str | int], value: object) -> str:
    """Return what to type instead of a value that others write so; empty where nobody does.

    ``below``: the keys and indexes that lead on from the place to the value.
    """
    match place, value:
        case "container.spec.env", _:
            return _of_variable(value, below) if below else _of_environment(value)
        case "container.spec.envFile", dict():
            return "write the path alone: a file that is declared has to be there"
        case (("secret.stringData" | "secret.data"), None):
            return "write '' for an empty value" if below else "leave it out where there are no values"
        case _:
            return "" if below else _of_whole(place, value)


def _of_whole(place: str, value: object) -> str:
    match place, value:
        case "container.spec.envFile", str():
            return "did you mean envFile: [PATH]?"
        case "container.spec.restart", str() | False:
            word = "no" if value is False else value.partition(":")[0].lower()
            return f"did you mean restart: {{policy: {_RESTARTS.get(word, 'Always')}}}?"
        case "container.spec.networks", dict():
            return "did you mean networks: [NAME], or [{name: NAME, ipv4: ADDRESS}]?"
        case (("container.spec.command" | "container.spec.args"), str()):
            return 'write each word by itself, like ["sh", "-c", "COMMAND"]'
        case _:
            return ""


def _of_environment(value: object) -> str:
    if value == []:
        return "did you mean env: {}?"
    if isinstance(value, list) and any(isinstance(item, dict) and "valueFrom" in item for item in value):
        return "did you mean env: {NAME: VALUE, NAME: {secret: NAME, key: KEY}}?"
    return _ENV if isinstance(value, list | str) else ""


def _of_variable(value: object, below: Sequence[str | int]) -> str:
    if below[1:] == ["secret"]:
        return _of_reference(value) if isinstance(value, dict) else ""
    if value is None:
        return "write '' for an empty value: the agent's own environment is not passed on"
    if not isinstance(value, dict):
        return ""
    source = value.get("valueFrom", value)
    if not isinstance(source, dict):
        return ""
    if "secretKeyRef" in source or {"name", "key"} <= source.keys():
        return _of_reference(source.get("secretKeyRef", source))
    if "configMapKeyRef" in source or "configMapRef" in source:
        return _CONFIG
    if "fieldRef" in source or "resourceFieldRef" in source:
        return "write the value itself: the agent fills in no fields of an object"
    return "write NAME: VALUE" if "value" in value else ""


def _of_reference(reference: Any) -> str:  # noqa: ANN401 - whatever a manifest has there
    """Return our spelling of a reference to a Secret, with its names where they are names."""
    fields = reference if isinstance(reference, dict) else {}
    name, key = str(fields.get("name", "")), str(fields.get("key", ""))
    is_sound = _NAME.fullmatch(name) and _KEY.fullmatch(key)
    return f"did you mean {{secret: {name}, key: {key}}}?" if is_sound else "did you mean {secret: NAME, key: KEY}?"
