"""Inference: stochastic passes of trained networks over a fold's cases, pooled to recordings and cases.

`score.score` decides which roles are to be scored, `outputs` scores them and writes outputs.h5, `aggregate` reads it,
and `explain` shows what a network attends to.
"""
