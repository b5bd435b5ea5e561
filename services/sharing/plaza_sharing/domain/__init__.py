"""What agreements, deliveries and queries are: rules without gRPC, SQL or HTTP."""
