"""Training: segments to batches, the loop, and the job that makes one model folder."""
