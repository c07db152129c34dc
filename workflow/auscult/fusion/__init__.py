"""Fusion: a booster per fold on the networks' outputs, covariates and statistics."""
