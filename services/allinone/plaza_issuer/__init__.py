"""The development identity issuer: Keycloak's paths and realm file, on this machine only.

It reads the same realm file that Keycloak imports, so that one machine and a cluster know the same
departments, people and clients. It refuses every address but loopback; a city runs Keycloak.
"""
