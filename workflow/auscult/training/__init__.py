"""Training: from a fold's cached frames to a folder with a trained network.

`train.train` decides whether there is something to do, `network_training.train_network` trains from the first weights
to the finished folder, and `loop.fit` goes through the epochs. `job` says what a job is given.
"""
