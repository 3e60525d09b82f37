"""The few things that the engine asks of the Linux kernel and Python's ``os`` cannot say, behind one Protocol.

``linux`` is the real one, ``recording`` its twin for tests of what is asked.
"""
