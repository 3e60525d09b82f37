"""A layer as it is packed: its compression, bounded and hashed, and the entries of its tar."""
