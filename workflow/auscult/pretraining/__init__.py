"""Pre-training: encoders that learn without labels from the training cases of a fold, or from other data sets."""


class PretrainingError(Exception):
    """A pre-training cannot go on; the message says what to change."""
