"""Runs a program that ends with the process which started it, however that process ends.

Usage   python site_app/tied.py PARENT program [arguments]
        PARENT   the process id of whoever starts this, so that one who died meanwhile is noticed

Ctrl-C and failures are handled where programs are started (processes.py); this is for a parent that is killed. Linux
only; elsewhere the program runs untied. Standard library only, run by path: it costs 20 ms.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Tie this process, then become the program."""
    parent, program = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            sys.exit(f"{program[0]}: the process that wanted this one is gone")
    os.execv(program[0], program)  # noqa: S606  our own programs, named by processes.py


if __name__ == "__main__":
    main()
