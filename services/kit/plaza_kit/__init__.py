"""What every Plaza service needs to run: settings, identity, rpc, errors, database, jobs, telemetry."""
