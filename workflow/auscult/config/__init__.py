"""Models of everything in config/: what a study file may say, and the checks that need no data.

Options of a data set's adapter, a front end or a network are declared in that plug-in's own file (`studies.py` checks
them); all else is declared here, a file per part, so that a job depends on the parts that it reads.
"""
