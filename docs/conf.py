"""How Sphinx builds the documentation: Markdown in, HTML out (`make docs`; `make check` turns warnings into errors)."""

import tomllib
from pathlib import Path

pyproject = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())

project = "queue_tasks"
author = "queue_tasks contributors"
copyright = f"2026, {author}"  # noqa: A001 - Sphinx's name
release = pyproject["project"]["version"]

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
nitpicky = True  # a reference that leads nowhere is a warning, and warnings are errors

myst_enable_extensions = ["colon_fence", "deflist", "fieldlist", "substitution"]
myst_heading_anchors = 4  # headings can be linked to: page.md#heading
myst_fence_as_directive: list[str] = []

html_theme = "furo"
html_title = f"queue_tasks {release}"
html_show_sourcelink = False
