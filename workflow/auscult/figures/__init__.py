"""Figures: curves, bars and explanations as SVG files."""
