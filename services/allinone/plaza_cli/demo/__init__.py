"""The demo city: departments, their directory, small files loaded and some of them opened to the public.

Everything is invented, and made through the same API that everybody uses.
"""

from plaza_cli.demo.making import DemoFailed as DemoFailed
from plaza_cli.demo.making import ensure as ensure
from plaza_cli.demo.making import fill as fill
from plaza_cli.demo.making import tokens_by_password as tokens_by_password
