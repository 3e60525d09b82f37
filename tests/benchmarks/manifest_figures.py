"""Two thousand manifests: checked by the command as people type it, and brought about over the memory runtime."""

import os
import pathlib
import subprocess
import sys
import time

from tests.benchmarks import figures

COUNT = 2_000
_REACH_VALIDATE, _REACH_CONVERGE = "< 3 s", "< 10 s"
_CONTAINER = """\
apiVersion: trimtab.dev/v1
kind: Container
metadata: {{name: c{number}, labels: {{app: shop}}}}
spec:
  image: docker.io/library/nginx:1.27
  command: [nginx]
  args: ["-g", "daemon off;"]
  env: {{TZ: UTC, NUMBER: "{number}"}}
  ports: [{{host: {port}, container: 80}}]
  networks: [{{name: shop{network}}}]
  mounts:
    - {{volume: v{volume}, path: /usr/share/nginx/html, readOnly: true}}
    - {{tmpfs: 64Mi, path: /tmp}}
  resources: {{cpus: 0.5, memory: 128Mi}}
  security: {{user: "101:101", capabilities: {{drop: [ALL], add: [NET_BIND_SERVICE]}}}}
  stop: {{signal: SIGQUIT, gracePeriod: 30s}}
  dependsOn: [{dependency}]
"""
_NETWORK = (
    "apiVersion: trimtab.dev/v1\nkind: Network\nmetadata: {{name: shop{number}}}\n"
    "spec: {{subnets: [10.{number}.0.0/16]}}\n"
)
_VOLUME = "apiVersion: trimtab.dev/v1\nkind: Volume\nmetadata: {{name: v{number}}}\nspec: {{}}\n"


def measure(folder: pathlib.Path, rounds: int) -> list[figures.Figure]:
    """Check and apply the manifests, each as a command of its own: its time, and its CPU time."""
    source = folder / "manifests"
    write(source, COUNT)
    usual = ("--config", "/dev/null", "--root", str(folder / "root"), "--run-dir", str(folder / "run"))
    found = []
    for name, command, reach in (
        ("validate", (*usual, "validate", str(source)), _REACH_VALIDATE),
        ("converge over memory", (*usual, "--runtime", "memory", "apply", str(source)), _REACH_CONVERGE),
    ):
        samples = [_run(command) for _ in range(rounds)]
        wall, cpu = zip(*samples, strict=True)
        found.append(figures.Figure(f"{name}, {COUNT} manifests", "s", wall, reach=reach))
        found.append(figures.Figure(f"{name}, {COUNT} manifests: CPU", "s", cpu))
    return found


def write(source: pathlib.Path, count: int) -> None:
    """Write so many containers in three networks, each ten a row of dependencies, with fifty volumes between them."""
    source.mkdir()
    for number in range(count):
        text = _CONTAINER.format(
            number=number,
            port=10_000 + number,
            network=number % 3,
            volume=number % 50,
            dependency=f"{{container: c{number - 1}}}" if number % 10 else "",
        )
        (source / f"c{number:05}.yaml").write_text(text)
    for number in range(3):
        (source / f"n{number}.yaml").write_text(_NETWORK.format(number=number))
    for number in range(50):
        (source / f"v{number}.yaml").write_text(_VOLUME.format(number=number))


def _run(arguments: tuple[str, ...]) -> tuple[float, float]:
    """Run a command and give its seconds, and those of its CPU time."""
    begun = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "agent", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{arguments[-2]} ended with {process.returncode}")
    return time.monotonic() - begun, usage.ru_utime + usage.ru_stime
