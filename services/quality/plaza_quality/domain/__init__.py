"""What the rules of a contract say about a version, as pure functions."""
