"""Metrics: formulas over arrays, intervals of them, and the catalogue of those that tables show."""
