"""System calls that Python's ``os`` lacks, behind one Protocol.

``linux`` is the real one, ``recording`` its twin that records calls, for tests.
"""
