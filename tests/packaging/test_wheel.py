"""The wheel: the library, its SQL and nothing else."""

import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(PROJECT)],
        check=True,
        capture_output=True,
    )
    (built,) = folder.glob("*.whl")
    return built


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def files_below(folder: str) -> set[str]:
    # What Python compiles comes and goes while others use the same checkout.
    files = (path for path in (PROJECT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(PROJECT)) for path in files}


def test_it_carries_every_file_of_the_package_and_of_sql(wheel):
    names = {name for name in names_in(wheel) if ".dist-info/" not in name}
    assert names == files_below("queue_tasks") | {f"queue_tasks/{name}" for name in files_below("sql")}
    assert "queue_tasks/py.typed" in names
    assert "queue_tasks/sql/migrations/0001_initial.sql" in names


def test_it_asks_for_what_it_needs_and_no_more(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(archive.read(name).decode())
    needed = {line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line}
    assert {line.split(";")[0].split("<")[0].split(">")[0].split("[")[0].strip().lower() for line in needed} == {
        "cronsim",
        "django",
        "django-tasks",
        "procrastinate",
        "psycopg",
    }
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "MIT"


def test_it_works_from_the_wheel_alone(wheel, tmp_path):
    """Unpacked elsewhere, with the checkout out of sight, it finds its SQL inside the package."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    program = f"""
import sys
sys.path = [{str(tmp_path)!r}] + [place for place in sys.path if place != {str(PROJECT)!r}]
from queue_tasks import statements
assert statements.__file__.startswith({str(tmp_path)!r}), statements.__file__
print(statements.sql_root())
"""
    done = subprocess.run(
        [sys.executable, "-I", "-c", program], check=True, capture_output=True, text=True, cwd=tmp_path
    )
    assert done.stdout.strip() == str(tmp_path / "queue_tasks" / "sql")
