"""Folds: who is trained on, chosen on and judged on, and the audit that looks for leaks between the roles."""
