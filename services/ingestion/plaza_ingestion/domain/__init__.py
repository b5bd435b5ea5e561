"""Rules: states of a run, identity of a batch, what a manifest must say. No gRPC, SQL or HTTP."""
