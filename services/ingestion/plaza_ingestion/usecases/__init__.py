"""Authorisation, transactions, idempotency."""
