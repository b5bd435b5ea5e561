"""The systems beside Kubernetes, each behind one small class that speaks its language and our errors."""
