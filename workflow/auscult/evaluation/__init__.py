"""Evaluation: predictions, metrics, intervals, tables and figures."""
