"""The guardian's program, run by the path of this folder, in isolated mode, by an account that may see nothing else."""

import sys
from importlib import import_module
from pathlib import Path

if __name__ == "__main__":
    package = Path(__file__).resolve().parent
    # After the standard library: what lies beside the package has names of its own.
    sys.path[:] = [*sys.path[1:], str(package.parent)]
    guardian = import_module(f"{package.name}.guardian")
    match sys.argv[1:]:
        case ["guard", text]:
            guardian.guard_detached(guardian.Charge.from_json(text))
        case _:
            sys.exit("This program is a part of the site; its one command is for itself.")
