"""gRPC as every service uses it: one server, one way to call, one mapping of errors."""
