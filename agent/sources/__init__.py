"""Where manifests come from: each source gives ``SourceSnapshot`` values and hints that something changed. Floor 4.

A source reads bytes and never looks inside: what they mean is ``manifests``' business. It knows no runtime and no loop.
A hint only says "look again"; nothing is decided from what it was. A source that cannot be read raises
``SourceUnavailable``, so that "nothing there" and "could not look" are never mistaken for each other.
"""
