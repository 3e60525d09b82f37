"""Image archives (OCI layouts, ``docker save``'s format, root file systems): read into a content store, and written."""
