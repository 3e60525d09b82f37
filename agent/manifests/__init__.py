"""From text to ``DesiredState``. Floor 2, pure: bytes come in, values and problems go out; no I/O.

``decode`` (YAML with positions) -> ``registry`` (documents to models of ``v1``; ``wording`` words their problems)
-> ``admit`` (checks across objects) -> ``lower`` (the only place for defaults and translation). ``schema`` turns the
models into ``crds/``.
"""
