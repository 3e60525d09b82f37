"""Snapshots: unpacked layers, each there once however many images share it, and overlay mounts on top of them."""
