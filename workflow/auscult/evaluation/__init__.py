"""Evaluation: metrics, intervals and tables from predictions."""
