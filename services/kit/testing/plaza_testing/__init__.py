"""What the tests of several packages share; a pytest plugin, loaded by the `conftest.py` of the repository.

Fixtures: `postgres`. To import: `plaza_testing.callers`, `plaza_testing.grants`, `plaza_testing.staging`.
"""

from plaza_testing.postgres import postgres as postgres
