"""Ingestion service and worker: from a department's file to one committed version."""
