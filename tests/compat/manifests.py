"""What golden state is made of: a bit of everything that a release can keep."""

from tests.compat import golden

HEAD = "---\napiVersion: trimtab.dev/v1\n"


def _container(name: str, spec: str) -> str:
    return f"{HEAD}kind: Container\nmetadata: {{name: {name}, labels: {{team: golden}}}}\nspec: {{{spec}}}\n"


STORES = (
    f"{HEAD}kind: Image\nmetadata: {{name: tiny}}\nspec: {{archive: {{path: {golden.ARCHIVE}}}}}\n"
    f"{HEAD}kind: Image\nmetadata: {{name: pulled}}\n"
    f"spec: {{pull: {{reference: '127.0.0.1:{golden.REGISTRY_PORT}/golden/tiny:1', policy: IfNotPresent}}}}\n"
    f"{HEAD}kind: Network\nmetadata: {{name: shop}}\nspec: {{subnets: [10.213.90.0/24], mtu: 1400}}\n"
    f"{HEAD}kind: Network\nmetadata: {{name: back}}\nspec: {{subnets: [10.213.91.0/24], internal: true}}\n"
    f"{HEAD}kind: Volume\nmetadata: {{name: kept}}\nspec: {{deletionPolicy: Retain}}\n"
    f"{HEAD}kind: Volume\nmetadata: {{name: scratch}}\nspec: {{deletionPolicy: Delete}}\n"
)
KILLED = "stop: {signal: SIGKILL, gracePeriod: 1s}"
CONTAINERS = (
    _container(
        "web",
        "image: {name: tiny}, command: [/tiny, listen], env: {GREETING: hello}, hostname: front,"
        f' ports: ["127.0.0.1:{golden.PUBLISHED_PORT}:80"],'
        " networks: [{name: shop, ipv4: 10.213.90.10, aliases: [www]}, back],"
        " mounts: [{volume: kept, path: /data}, {tmpfs: 1Mi, path: /tmp},"
        " {bind: /usr/share/doc, path: /doc, readOnly: true}],"
        " restart: {policy: Always, backoff: {initial: 1s, max: 10m, reset: 10m}},"
        " health: {readiness: {tcp: {port: 80}, period: 1s}, liveness: {exec: [/tiny, exit, '0'], period: 2s}},"
        " resources: {cpus: 0.5, memory: 32Mi, pids: 50}, security: {capabilities: {drop: [MKNOD]}},"
        f" update: {{strategy: Recreate}}, {KILLED}",
    ),
    _container(
        "worker",
        "image: {name: pulled}, command: [/tiny, keep, /data/worker], networks: [back],"
        " mounts: [{volume: scratch, path: /data}], restart: {policy: UnlessStopped},"
        f" dependsOn: [{{container: web, condition: Healthy}}], {KILLED}",
    ),
    _container("layer", f"image: {{name: tiny}}, command: [/tiny, keep, /mine], networks: [shop], {KILLED}"),
    _container(
        "job",
        "image: {name: tiny}, command: [/tiny, append, /data/job],"
        " mounts: [{volume: kept, path: /data}], restart: {policy: OnFailure}",
    ),
    _container("failed", "image: {name: tiny}, command: [/tiny, exit, '3'], restart: {policy: Never}"),
    _container(
        "crashing",
        "image: {name: tiny}, command: [/tiny, exit, '4'],"
        " restart: {policy: Always, backoff: {initial: 200ms, max: 10m, reset: 10m}}",
    ),
)
EARLIER = (
    f"{HEAD}kind: Volume\nmetadata: {{name: orphan}}\nspec: {{deletionPolicy: Retain}}\n",
    _container("old", f"image: {{name: tiny}}, command: [/tiny, wait], {KILLED}"),
)
"""What was declared by an earlier revision only: the volume has stayed, and nobody declares it."""


def text(*, earlier: bool) -> str:
    """Return all manifests of a revision."""
    return STORES + "".join(CONTAINERS) + ("".join(EARLIER) if earlier else "")
