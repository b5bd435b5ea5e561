"""What the tests of several packages share; a pytest plugin, loaded by the `conftest.py` of the repository.

Fixtures: `postgres`, `s3`. To import: `plaza_testing.callers`, `plaza_testing.grants`, `plaza_testing.staging`.
"""

import os

from hypothesis import settings

from plaza_testing.postgres import postgres as postgres
from plaza_testing.s3 import s3 as s3

# A test that fails by luck is a bug; what luck finds is looked for on purpose, with PLAZA_FUZZ=1.
settings.register_profile("settled", derandomize=True, deadline=None)
settings.register_profile("searching", deadline=None, print_blob=True)
settings.load_profile("searching" if os.environ.get("PLAZA_FUZZ") else "settled")
