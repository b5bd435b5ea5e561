"""What every Plaza service needs to run: settings, identity, rpc, errors, database, jobs, telemetry."""

import os

# gRPC for Python has no setting for the oldest version of TLS, and reads this one when it is imported. TLS 1.3 has
# its own ciphers, the list is of TLS 1.2 alone: with nothing but a pre-shared key, which nobody has, only 1.3 is left.
os.environ.setdefault("GRPC_SSL_CIPHER_SUITES", "ECDHE-PSK-CHACHA20-POLY1305")
