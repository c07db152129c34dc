"""Training: from a fold's cached frames to a folder with a trained network.

`job.train` decides whether there is something to do, `run` trains from the first weights to the finished folder, and
`loop.fit` goes through the epochs. `spec` says what a job is given.
"""
