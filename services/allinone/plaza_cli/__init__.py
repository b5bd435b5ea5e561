"""One-machine mode and the plaza command."""
