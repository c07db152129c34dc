"""Pydantic models of the files in config/: the keys of a study file, and the checks that need no data.

Options of a data set's adapter, a front end or a network are declared in that plug-in's own file; `studies.py` checks
them. All other keys are declared here, one file per section of a study, so that a job depends only on the sections
that it reads.
"""
