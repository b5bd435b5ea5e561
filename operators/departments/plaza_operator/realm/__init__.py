"""The realm `plaza` itself: what the realm file says, carried into a running Keycloak and kept there."""
