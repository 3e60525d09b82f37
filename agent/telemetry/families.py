"""What a metric family is: the rows of the tables in ``metrics`` and ``cadvisor``."""

import enum

from agent.kit import frozen


class Type(enum.StrEnum):
    """Prometheus' metric types in use."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@frozen.value
class Metric:
    """One metric family. A counter's name includes its ``_total``."""

    name: str
    type: Type
    labels: tuple[str, ...]
    help: str
    source: str
    """The origin of the numbers."""
