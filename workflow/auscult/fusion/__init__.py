"""Fusion: a second stage per fold on the networks' outputs, covariates and statistics."""
