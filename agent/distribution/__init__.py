"""Images on their way: registries, archives, and the blobs and layers that they are made of.

Below the engine and the drivers, which both use it, and knowing neither: what is asked of a registry, and how an
archive is read and written, is the same for every runtime. Failures are the kinds of ``agent.errors``.
"""
