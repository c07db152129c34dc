"""Heads of networks: output columns, probabilities, pooling and uncertainty; numbers alone, without torch."""
