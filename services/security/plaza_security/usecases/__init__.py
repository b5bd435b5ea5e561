"""Authorisation and transactions."""
