"""Helpers without any noun of the house; each could be a library. Floor 0.

Imports the standard library only, nothing of ours but ``errors``.
"""
