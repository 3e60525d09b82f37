"""The engine's containers.

``table`` says what is known of each, ``launch`` and ``ending`` are the two walks between nothing and a running program,
``lifecycle`` is what callers use. ``logs`` (over ``log_files`` and ``log_format``) and ``exec`` look into one that is
there.
"""
