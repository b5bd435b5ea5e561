"""Security service: grades, decisions, read grants, the ledger."""
