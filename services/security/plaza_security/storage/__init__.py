"""PostgreSQL: the tree, and what other services told."""
