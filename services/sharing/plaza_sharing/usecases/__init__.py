"""What a caller may do here: authorisation, transaction, grants."""
