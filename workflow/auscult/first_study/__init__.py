"""A first study for a folder of recordings: what they are like, what follows from it, and the file that says why."""
