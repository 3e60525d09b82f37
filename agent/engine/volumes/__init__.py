"""Named volumes, which outlive every container: records, and data that a ``driver`` keeps, as ``local`` does."""
