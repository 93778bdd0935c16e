"""The documentation builds, and a warning is an error."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, PROJECT, all_pages


def test_the_documentation_builds_without_a_warning(tmp_path: Path):
    pytest.importorskip("sphinx", reason="the environment has no Sphinx: make install")
    built = tmp_path / "html"
    command = ["-m", "sphinx", "-q", "-E", "-W", "--keep-going", "-d", str(tmp_path / "doctrees"), "-b", "html"]
    done = subprocess.run(
        [sys.executable, *command, str(DOCS), str(built)], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for page in all_pages():
        if DOCS in page.parents:
            assert (built / page.relative_to(DOCS)).with_suffix(".html").is_file()
