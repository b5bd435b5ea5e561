"""Translation between protos and use cases."""
