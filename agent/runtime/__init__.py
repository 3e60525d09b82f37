"""The Protocol between desired state and world. Floor 3: knows ``model`` and nothing of any engine.

``api`` holds the small role Protocols that every driver fulfils and the conformance suite (``tests/conformance``)
specifies; ``errors`` the vocabulary in which every driver fails; ``events`` what a runtime tells without being asked.
"""
