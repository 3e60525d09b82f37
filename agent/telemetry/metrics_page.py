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
- `container_*` are named and labelled as cAdvisor's, so that dashboards made for it work. They are read from the
  cgroups (version 1 and 2) at the scrape. A host that runs cAdvisor beside the agent should drop one of the two at the
  scrape.
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
