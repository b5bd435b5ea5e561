"""The only HTTP door: REST over gRPC, the portal."""
