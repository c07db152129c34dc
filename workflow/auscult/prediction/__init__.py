"""A study's winner applied to new recordings: nothing is fitted here but what the study's own cases decide."""
