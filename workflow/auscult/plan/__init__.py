"""The plan of a study: which networks it has, what each job reads, and where every file lies.

Everything here is answered from a study and the names of its folds, before any job has run; nothing is read or written.
"""
