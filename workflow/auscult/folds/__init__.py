"""Folds: which cases are training, validation and test cases, and the audit that looks for leaks between them."""
