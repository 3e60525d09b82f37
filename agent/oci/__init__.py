"""The Open Container Initiative's own terms, as pure values. Floor 1: no I/O.

Sources: the OCI image, distribution and runtime specifications; names and spellings are theirs.
"""
