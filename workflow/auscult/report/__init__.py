"""The report: a study's tables and figures as one self-contained HTML page."""
