"""The programs that stand between the engine and a container: the OCI runtime that makes it, conmon that outlives us.

Both are well-kept parts, driven by their documented command lines. conmon is the container's parent: it keeps its
logs and its exit code while the agent is away.
"""
