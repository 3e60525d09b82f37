"""The nouns of the house: what is wanted (``*Config``) beside what is (``Observed*``). Floor 1, pure.

Everything here is a frozen value: no I/O, no clock, no randomness, no defaults that mean anything (defaults are given
in ``manifests/lower`` only). Times are seconds since the epoch (float), durations are seconds (float), sizes are
bytes (int).
"""
