"""Decisions: from class probabilities to a class, by rules that are chosen without the test cases."""
