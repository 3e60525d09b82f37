"""Layers: from a compressed tar stream, made by anybody, to a directory that overlayfs can use. Nothing leaves it."""
