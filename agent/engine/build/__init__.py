"""Builds of images: Dockerfiles followed step by step, each step a layer that is made once and kept by its content."""
