"""Links between pages lead somewhere: to a file that exists, and to a heading that it has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, PROJECT, all_pages, headings, links, name_of


@pytest.mark.parametrize("page", all_pages(), ids=name_of)
def test_the_links_of_the_page_lead_somewhere(page: Path):
    broken = []
    for link in links(page):
        if re.match(r"(https?|mailto):", link):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        if not target.is_file() and not (target.is_dir() and file.endswith("/")):
            broken.append(f"{link}: no such file")
        elif DOCS in page.parents and DOCS not in target.parents:
            broken.append(f"{link}: leads out of docs/, where the built pages have nothing")
        elif anchor and anchor not in {heading.anchor for heading in headings(target)}:
            broken.append(f"{link}: no such heading")
    assert broken == []


def test_every_page_is_in_a_table_of_contents():
    listed = set()
    for index in DOCS.rglob("*.md"):
        for entries in re.findall(r"```\{toctree\}\n(.*?)```|:::\{toctree\}\n(.*?):::", index.read_text(), re.DOTALL):
            for line in "".join(entries).splitlines():
                if line and not line.startswith(":"):
                    listed.add((index.parent / f"{line.strip()}.md").resolve())
    pages = {page for page in all_pages() if DOCS in page.parents} - {DOCS / "index.md"}
    assert {name_of(page) for page in pages ^ listed} == set()


def test_no_page_names_a_file_of_the_project_that_does_not_exist():
    missing = [
        f"{name_of(page)}: {name}"
        for page in all_pages()
        for name in re.findall(r"`((?:queue_tasks|sql|site_app|tests|tools)/[\w./-]+\.\w+)`", page.read_text())
        if not (PROJECT / name).exists()
    ]
    assert missing == []
