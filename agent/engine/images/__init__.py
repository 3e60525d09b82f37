"""Images: references to manifests in the content store, whose layers are unpacked as snapshots."""
