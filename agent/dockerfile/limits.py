"""How large a Dockerfile may be."""

LARGEST = 8 * 1024 * 1024
"""Bytes."""
