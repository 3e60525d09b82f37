"""Trimtab: a declarative reconciler for the containers of one host.

Data flows one way: bytes -> manifests -> desired state -> plan -> actions -> runtime, and back as observation and
metrics. Every room's ``__init__`` states its law; ``ops/docs/architecture.md`` is the map of the house.
"""

__version__ = "0.1.0"
