"""The manual page of the metrics, made from their table."""

import sys

from agent.telemetry import metrics

_INTRODUCTION = """# Metrics

`/metrics` on the address of `--listen`. This page is `agent/telemetry/metrics.py` in print; a test compares the two,
and `python -m agent.telemetry.metrics_page > ops/docs/metrics.md` writes it anew. Alert rules that use them are in
`ops/prometheus/`.

- Series of an object are there as long as the object is declared or there, and vanish with it. Labels carry names,
  kinds, states and reasons, never ids (but for cAdvisor's own `id` and `trimtab_container_info`), error texts or
  environments.
- `trimtab_container_restarts_total` is kept in the journal: it goes on when a container is replaced or the agent
  restarts. All other counters start at 0 with the agent.
- `container_*` and `machine_*` are named and labelled as cAdvisor's, so that dashboards made for it work. Natively they
  are read from the cgroups (version 1 and 2) at the scrape, and `id` is the cgroup's path, as cAdvisor has it
  (`/trimtab-INSTANCE/ID`). Over Docker and Podman it is the container's id, and the last column says what they do not
  tell; `name` leads to `trimtab_container_info` over all. A figure that the kernel or the engine does not tell has no
  series; 0 is always a 0 that was read, but for limits, where it means that there is none. A host that runs cAdvisor
  beside the agent should drop one of the two at the scrape.
- `container_cpu_usage_seconds_total` has the one `cpu` that cAdvisor has on cgroup version 2, `total`.
- `container_fs_*` have a series for each device that was used. New kernels (6.18 is one) count for cgroup version 1
  only on devices where some cgroup's traffic is limited or that the scheduler BFQ serves.
- Of cAdvisor's metrics these are left out: `container_memory_failures_total` (a tenth of a scrape, and mostly dropped),
  `container_tasks_state` and `container_cpu_load_average_10s` (they need a poll of every thread), usage of file systems
  (`trimtab system df` measures it when asked), and its labels of the machine's ids, for `instance` says which it is.
- A scrape is compressed with gzip where `Accept-Encoding` allows it, as Prometheus asks for it.
- The client library adds `process_*`: the agent's own memory, CPU time and descriptors.

| metric | type | labels | what it says | from |
|---|---|---|---|---|
"""


def document() -> str:
    """Return the manual page's text."""
    rows = (
        f"| `{metric.name}` | {metric.type.value} | {', '.join(f'`{label}`' for label in metric.labels) or '-'}"
        f" | {metric.help} | {metric.source} |\n"
        for metric in metrics.TABLE
    )
    return _INTRODUCTION + "".join(rows)


if __name__ == "__main__":
    sys.stdout.write(document())
