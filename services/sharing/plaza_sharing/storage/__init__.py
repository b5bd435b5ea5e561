"""Agreements and deliveries in PostgreSQL, rows in the lake."""
