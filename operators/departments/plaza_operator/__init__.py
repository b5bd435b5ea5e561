"""Departments as tenants: one reconcile per `Department` resource."""
