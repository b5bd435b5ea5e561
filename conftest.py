"""Fixtures that all tests of the repository may ask for."""

pytest_plugins = ["plaza_testing"]
