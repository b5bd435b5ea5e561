"""Translation between messages and use cases."""
