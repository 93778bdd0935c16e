"""The processes of a program that a test started, found by a variable in their environment (Linux)."""

from pathlib import Path


def processes_with(variable: str, value: object) -> dict[int, list[str]]:
    """The running processes that have this variable: process id -> arguments. Zombies have no environment."""
    mark = f"{variable}={value}\0".encode()
    found = {}
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and mark in (process / "environ").read_bytes():
                found[int(process.name)] = (process / "cmdline").read_bytes().decode().split("\0")
        except OSError:
            pass  # it has just ended, or is somebody else's
    return found
