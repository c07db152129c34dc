"""Front ends: samples to feature frames, one family per file, found by `features` from this folder."""
