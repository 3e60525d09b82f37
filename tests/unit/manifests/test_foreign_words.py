"""Each word of Kubernetes' and Compose's that is no field here, and the line that who types it is told."""

import pytest

from agent.manifests import foreign_spellings, pipeline

HEAD = "apiVersion: trimtab.dev/v1\nkind: {kind}\nmetadata: {{name: x, {metadata}}}\n{fields}\n"
OF_KUBECTL = "leave it out: kubectl get prints it, nobody declares it"

CONTAINER = """
environment: did you mean env: {NAME: VALUE}?
env_file: did you mean envFile: [PATH]?
envFrom: did you mean env: {NAME: {secret: NAME, key: KEY}} for each value, or envFile: [PATH]?
name: did you mean metadata: {name: NAME}?
container_name: did you mean metadata: {name: NAME}?
labels: did you mean metadata: {labels: {NAME: VALUE}}?
annotations: did you mean metadata: {annotations: {NAME: VALUE}}?
containers: a Container is one container: its image and the rest stand in spec itself
initContainers: did you mean another Container, and dependsOn: [{container: NAME, condition: Completed}]?
template: a Container has no template: its image and the rest stand in spec itself
entrypoint: did you mean command? It replaces ENTRYPOINT, and args replaces CMD
volumes: did you mean mounts: [{volume: NAME, path: /data}], or {bind: /srv, path: /data}?
volumeMounts: did you mean mounts: [{volume: NAME, path: /data}]?
tmpfs: did you mean mounts: [{tmpfs: 64Mi, path: /tmp}]?
secrets: did you mean env: {NAME: {secret: NAME, key: KEY}}?
restartPolicy: did you mean restart: {policy: Always}?
livenessProbe: did you mean health: {liveness: {…}}?
readinessProbe: did you mean health: {readiness: {…}}?
startupProbe: did you mean health: {startup: {…}}?
healthcheck: did you mean health: {readiness: {exec: [COMMAND]}}?
securityContext: did you mean security? See trimtab explain container.spec.security
user: did you mean security: {user: "1000:1000"}?
cap_add: did you mean security: {capabilities: {add: [NAME]}}?
cap_drop: did you mean security: {capabilities: {drop: [NAME]}}?
read_only: did you mean security: {readOnlyRootfs: true}?
privileged: that is not built: name what it needs in security: {capabilities: {add: [NAME]}}
mem_limit: did you mean resources: {memory: 128Mi}?
mem_reservation: did you mean resources: {memoryReservation: 64Mi}?
memory: did you mean resources: {memory: 128Mi}?
cpus: did you mean resources: {cpus: 0.5}?
pids_limit: did you mean resources: {pids: 100}?
deploy: did you mean resources, restart or update?
stop_grace_period: did you mean stop: {gracePeriod: 10s}?
terminationGracePeriodSeconds: did you mean stop: {gracePeriod: 10s}?
stop_signal: did you mean stop: {signal: SIGTERM}?
network_mode: did you mean networks: host, none or bridge?
hostNetwork: did you mean networks: host?
imagePullPolicy: did you mean image: {name: NAME}, and an Image with pull: {policy: Always}?
pull_policy: did you mean image: {name: NAME}, and an Image with pull: {policy: Always}?
imagePullSecrets: leave it out: every Secret of type kubernetes.io/dockerconfigjson in the source is used
"""
REFERENCE = """
optional: leave it out: a Secret and its key have to be declared
name: did you mean secret?
"""
PORT = """
containerPort: did you mean container?
target: did you mean container?
targetPort: did you mean container?
hostPort: did you mean host?
published: did you mean host?
port: did you mean host?
hostIP: did you mean address?
host_ip: did you mean address?
ip: did you mean address?
name: leave it out: ports have no names
mode: leave it out: every port is the host's
"""
MOUNT = """
mountPath: did you mean path?
target: did you mean path?
destination: did you mean path?
hostPath: did you mean bind? It is a path of the host
source: did you mean volume: NAME, or bind: /srv?
name: did you mean volume?
type: leave it out: what it is, volume, bind or tmpfs says
claimName: did you mean volume?
"""
HEALTH = """
startupProbe: did you mean startup?
readinessProbe: did you mean readiness?
livenessProbe: did you mean liveness?
test: did you mean readiness: {exec: [COMMAND], period: 10s}?
interval: did you mean readiness: {exec: [COMMAND], period: 10s}?
retries: did you mean readiness: {exec: [COMMAND], period: 10s}?
"""
PROBE = """
httpGet: did you mean http?
tcpSocket: did you mean tcp?
test: did you mean exec: [COMMAND]?
periodSeconds: did you mean period: 10s?
interval: did you mean period: 10s?
initialDelaySeconds: did you mean initialDelay: 10s?
start_period: did you mean initialDelay: 10s?
timeoutSeconds: did you mean timeout: 10s?
retries: did you mean failureThreshold?
"""
RESOURCES = """
limits: did you mean memory: 128Mi, or cpus: 0.5? Limits stand in resources itself
requests: did you mean memoryReservation: 64Mi?
cpu: did you mean cpus?
"""
SECURITY = """
runAsUser: did you mean user: "1000:1000"?
runAsGroup: did you mean user: "1000:1000"?
readOnlyRootFilesystem: did you mean readOnlyRootfs?
allowPrivilegeEscalation: did you mean noNewPrivileges, which is its opposite?
seccompProfile: did you mean seccomp: Default, or Unconfined?
privileged: that is not built: name what it needs in capabilities: {add: [NAME]}
"""
SECRET = """
immutable: leave it out: a value that has changed replaces the containers that use it
binaryData: did you mean data?
spec: did you mean stringData? A Secret has no spec
"""
METADATA = f"""
namespace: leave it out: there are no namespaces, a name is unique on the host
generateName: did you mean name? It is the whole name
creationTimestamp: {OF_KUBECTL}
uid: {OF_KUBECTL}
resourceVersion: {OF_KUBECTL}
generation: {OF_KUBECTL}
selfLink: {OF_KUBECTL}
managedFields: {OF_KUBECTL}
ownerReferences: {OF_KUBECTL}
finalizers: {OF_KUBECTL}
deletionTimestamp: {OF_KUBECTL}
deletionGracePeriodSeconds: {OF_KUBECTL}
"""
KINDS = """
Secret: a Secret is the same here, but for its first line: apiVersion: trimtab.dev/v1
ConfigMap: kind Config is not built yet: write the value itself, or name a file of NAME=VALUE lines in envFile
List: write its items as documents of their own, with --- between them
PersistentVolumeClaim: did you mean kind: Volume? See trimtab explain volume
Pod: did you mean kind: Container? See trimtab explain container
Deployment: did you mean kind: Container? See trimtab explain container
StatefulSet: did you mean kind: Container? See trimtab explain container
DaemonSet: did you mean kind: Container? See trimtab explain container
ReplicaSet: did you mean kind: Container? See trimtab explain container
Job: did you mean kind: Container? See trimtab explain container
CronJob: did you mean kind: Container? See trimtab explain container
"""


def table(text: str) -> dict[str, str]:
    """Return the words of a table with their hints."""
    words = (line.partition(": ") for line in text.strip().splitlines())
    return {word: hint for word, _, hint in words}


CASES = [  # (as explain calls the place, as a line calls it, its words, what is around WORDS)
    ("container.spec", "spec", CONTAINER, "WORDS"),
    ("container.spec.env", "spec.env.A", REFERENCE, "env: {A: {secret: s, key: k, WORDS}}"),
    ("container.spec.ports", "spec.ports[0]", PORT, "ports: [{WORDS}]"),
    ("container.spec.mounts", "spec.mounts[0]", MOUNT, "mounts: [{WORDS}]"),
    ("container.spec.health", "spec.health", HEALTH, "health: {WORDS}"),
    ("container.spec.health.startup", "spec.health.startup", PROBE, "health: {startup: {WORDS}}"),
    ("container.spec.health.readiness", "spec.health.readiness", PROBE, "health: {readiness: {WORDS}}"),
    ("container.spec.health.liveness", "spec.health.liveness", PROBE, "health: {liveness: {WORDS}}"),
    ("container.spec.resources", "spec.resources", RESOURCES, "resources: {WORDS}"),
    ("container.spec.security", "spec.security", SECURITY, "security: {WORDS}"),
]


def printed_problems(fields: str, kind: str = "Container", metadata: str = "") -> list[str]:
    """Return an object's problems of unknown fields, without their positions."""
    text = HEAD.format(kind=kind, metadata=metadata, fields=fields)
    parsed = pipeline.parse([pipeline.ManifestFile("a.yaml", "/srv", text.encode())])
    lines = [str(problem).split(": ", 1)[1] for problem in parsed.problems]
    return [line for line in lines if line.startswith("unknown field")]


def flow(words: dict[str, str]) -> str:
    """Return fields of those names, in the order of the table."""
    return ", ".join(f"{word}: 1" for word in words)


@pytest.mark.parametrize(("place", "shown", "words", "around"), CASES)
def test_word_of_others__is_told_what_to_type_here(place: str, shown: str, words: str, around: str) -> None:
    rows = table(words)
    spec = f"spec: {{image: x, {around.replace('WORDS', flow(rows))}}}"
    assert printed_problems(spec) == [f"unknown field {shown}.{word} ({hint})" for word, hint in rows.items()]
    assert foreign_spellings.FIELDS[place].keys() <= rows.keys()


def test_word_of_others__in_what_every_kind_has__is_told_what_to_type_here() -> None:
    rows = table(METADATA)
    assert printed_problems("spec: {image: x}\nstatus: {}", metadata=flow(rows)) == [
        *(f"unknown field metadata.{word} ({hint})" for word, hint in rows.items()),
        "unknown field status (leave it out: trimtab status prints it, nobody declares it)",
    ]
    assert foreign_spellings.METADATA.keys() == rows.keys()


def test_word_of_others__in_a_secret__is_told_what_to_type_here() -> None:
    rows = table(SECRET)
    fields = "\n".join(f"{word}: 1" for word in rows)
    assert printed_problems(fields, "Secret") == [f"unknown field {word} ({hint})" for word, hint in rows.items()]
    assert foreign_spellings.FIELDS["secret"].keys() == rows.keys()


def test_tables__are_all_of_these() -> None:
    assert foreign_spellings.FIELDS.keys() == {place for place, *_ in CASES} | {"secret"}
    assert dict(foreign_spellings.KINDS) == table(KINDS)
