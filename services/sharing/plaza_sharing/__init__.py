"""Sharing service: agreements, deliveries, the one rows API."""
