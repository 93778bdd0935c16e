"""The reference site as a visitor meets it: its own programs as processes, on a database of their own.

The tests of this folder speak HTTP to it and look into its database with SQL; nothing of it runs in the test's process.
"""

import os
from collections.abc import Iterator

import pytest

from site_app.processes import PROJECT, migrate
from tests import postgres
from tests.site.house import House


@pytest.fixture(scope="session")
def site_template() -> Iterator[str]:
    """The name of a database with the site's tables, to be cloned."""
    name = f"{postgres.PREFIX}_site"
    with postgres.database(name) as url:
        migrate({**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "site_app.settings"})
        yield name


@pytest.fixture(scope="module")
def house(site_template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """The site with a database and files of its own, one for a module; its web server runs, its worker does not."""
    folder = tmp_path_factory.mktemp("site")
    name = f"{postgres.PREFIX}_site_{folder.name}"
    with postgres.database(name, template=site_template) as url, House(url, folder) as opened:
        yield opened


@pytest.fixture
def site(house: House) -> Iterator[House]:
    """The house, empty: no photo, no report, no job, no file, no worker."""
    house.clear()
    yield house
    house.stop_worker()


assert PROJECT.joinpath("manage.py").exists()
