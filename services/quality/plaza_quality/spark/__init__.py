"""Judging on a Spark Connect server: the same kernels and the same answer, on many machines."""
