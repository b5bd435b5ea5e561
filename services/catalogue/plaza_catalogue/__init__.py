"""Catalogue service: departments, datasets, contracts, metadata versions, search."""
