"""Versioned tables: the one write path, the one read path, engines."""
