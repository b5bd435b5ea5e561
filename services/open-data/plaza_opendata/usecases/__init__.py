"""What a caller may do here: authorisation, transaction, idempotency; and the job that builds a release."""
