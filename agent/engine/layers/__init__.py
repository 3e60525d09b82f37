"""Layers: from a compressed, untrusted tar stream to a directory for overlayfs. Nothing is written outside of it."""
