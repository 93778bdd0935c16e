"""The environment is made once, and again when what it was made for has changed."""

import subprocess
from pathlib import Path

import pytest

from tools import install


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders that would have been filled; the stamp and an interpreter are written as a real run does."""
    folders: list[Path] = []

    def fill(folder: Path, stamp: Path, wanted_stamp: str, _extras: str, _also: list[str]) -> int:
        folders.append(folder)
        install.interpreter_of(folder).parent.mkdir(parents=True, exist_ok=True)
        install.interpreter_of(folder).touch()
        stamp.write_text(wanted_stamp)
        return 0

    monkeypatch.setattr(install, "install", fill)
    return folders


def test_a_second_run_has_nothing_to_do(installed, tmp_path):
    for _ in range(2):
        assert install.main(["--venv", str(tmp_path / "env"), "--also", ""]) == 0
    assert installed == [tmp_path / "env"]


def test_an_interrupted_run_is_made_again(installed, tmp_path):
    install.main(["--venv", str(tmp_path / "env")])
    (tmp_path / "env" / install.STAMP_NAME).unlink()  # written last, so an interrupted run lacks it
    install.main(["--venv", str(tmp_path / "env")])
    assert len(installed) == 2


@pytest.mark.parametrize("change", [["--also", "Django<6.1"], ["--extras", "site"]])
def test_other_requirements_are_installed(installed, tmp_path, change):
    install.main(["--venv", str(tmp_path / "env")])
    install.main(["--venv", str(tmp_path / "env"), *change])
    assert len(installed) == 2


def test_the_oldest_is_what_each_requirement_begins_with():
    declared = ["a>=1.2", "b[c,d]>=5.2,<6.2", "e>=0.12; python_version < '3.12'"]
    assert install.oldest_of(declared) == ["a==1.2", "b[c,d]==5.2", "e==0.12; python_version < '3.12'"]


def test_each_dependency_of_the_library_says_its_oldest_version():
    declared = install.read_project()["project"]["dependencies"]
    assert all("==" in requirement for requirement in install.oldest_of(declared))
    assert install.parse(["--oldest"]).also == install.oldest_of(declared)


def test_an_environment_that_was_moved_is_made_again(installed, tmp_path):
    install.main(["--venv", str(tmp_path / "env")])
    (tmp_path / "env").rename(tmp_path / "moved")
    install.main(["--venv", str(tmp_path / "moved")])
    assert len(installed) == 2


def test_an_old_python_is_refused_with_the_remedy(monkeypatch, capsys):
    monkeypatch.setattr("tools.install.sys.version_info", (3, 10, 4))
    assert install.main([]) == 1
    assert "is Python 3.10.4; queue_tasks needs 3.11 or newer" in capsys.readouterr().err


def test_what_pip_says_is_shown_only_when_it_fails(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("tools.install.venv.create", lambda folder, **_: folder.joinpath("bin").mkdir(parents=True))
    python = install.interpreter_of(tmp_path / "env")

    def failing_pip(command: list[str], **_options: object) -> subprocess.CompletedProcess[str]:
        assert command[0] == str(python)
        return subprocess.CompletedProcess(command, 1, "", "no such package")

    monkeypatch.setattr("tools.install.subprocess.run", failing_pip)
    assert install.main(["--venv", str(tmp_path / "env")]) == 1
    assert "no such package\npip could not install" in capsys.readouterr().err
    assert not (tmp_path / "env" / install.STAMP_NAME).exists()
