"""Checks of rows as compiled kernels over Arrow columns: the fast way to the same verdicts as `storage.meaning`."""
