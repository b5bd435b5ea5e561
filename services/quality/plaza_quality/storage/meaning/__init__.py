"""What the checks mean on DuckDB, as expressions."""
