"""Where manifests come from: each source has snapshots of files and hints that something changed. Floor 4.

A source reads bytes and never looks inside: what they mean is ``manifests``' business. It knows no runtime and no loop.
A hint only means "read again"; nothing is decided from its cause. A source that cannot be read raises
``SourceUnavailable``, so that "nothing there" and "could not look" are never mistaken for each other.
"""
