"""The embedded engine as a ``Runtime``: translation between ``model`` and ``engine``, and nothing else."""
