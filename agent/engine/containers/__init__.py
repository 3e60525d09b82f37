"""The engine's containers.

``spec`` says what is asked for, ``table`` what is known of each, ``launch`` and ``ending`` are the two walks between
nothing and a running program, ``lifecycle`` is what callers use. ``logs``, ``stats`` and ``exec`` look into one that
is there.
"""
