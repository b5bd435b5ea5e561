"""`python -m plaza_cli.child PARENT MODULE`: runs a module that ends when its parent does, however that ends.

A program of its own, and no `preexec_fn`: with that the parent would have to fork, and gRPC's threads in it
do not bear a fork.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


def main() -> None:
    """Exit code of the module; 1 when the parent is gone already."""
    parent, module = int(sys.argv[1]), sys.argv[2]
    # Linux ends this process when its parent dies, even by SIGKILL; it may have died before this line.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit(1)
    sys.argv = [module]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
