"""Caches: HDF5 shards of audio and of feature frames, and the windows (segments) over them."""
