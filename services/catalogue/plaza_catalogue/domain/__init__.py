"""Rules of the directory: names, contracts, documents, words to search by. No gRPC calls, no SQL."""
