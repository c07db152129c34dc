"""Front ends, which turn samples into feature frames: one family per file; `features` finds the files."""
