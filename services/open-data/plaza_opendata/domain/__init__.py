"""Rules of releases: names, states, gates, what is shown. No gRPC, SQL or HTTP."""
