"""Docker Engine and Podman's service as a ``Runtime``, through the Engine API.

``translate`` (with ``limits``, ``subnets`` and ``references``), ``inspected`` (with ``unsaid``), ``survey`` and
``usage`` alone know how the API spells things, and are pure; ``connection`` alone speaks to an engine, ``failures``
alone reads its complaints. What an engine cannot keep (labels of images, new labels of volumes, what it was told to
stop) is in ``notes``, beside the engine: losing them loses no container and no data.
"""
