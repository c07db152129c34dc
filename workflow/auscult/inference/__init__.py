"""Inference: stochastic passes over a fold's cases, their uncertainty, and what they say of recordings and cases."""
