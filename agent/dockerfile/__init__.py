"""Dockerfiles as BuildKit's reference frontend reads them, as pure values. Floor 1: no I/O, and no engine.

Sources: the Dockerfile reference (docs.docker.com/reference/dockerfile); where it is silent, what BuildKit 0.13 does.
Values keep their quotes and variables: what a variable is depends on the stage, and is expanded when it is built.
"""
