"""Assessing committed versions, and who may see the result."""
