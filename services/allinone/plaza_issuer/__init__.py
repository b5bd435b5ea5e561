"""Development OIDC issuer: Keycloak's paths, the same realm file, loopback only."""
