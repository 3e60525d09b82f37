"""Docker Engine and Podman's service as a ``Runtime``, through the Engine API.

``translate`` (with ``limits``, ``subnets`` and ``references``), ``adoptable`` (with ``unsupported``), ``foreign`` and
``usage`` alone know how the API spells things, and are pure; ``connection`` alone speaks to an engine, ``failures``
alone reads its error messages. What an engine cannot keep (labels of images, new labels of volumes, stop requests) is
in the state file of ``sidecar``, beside the engine: losing it loses no container and no data.
"""
