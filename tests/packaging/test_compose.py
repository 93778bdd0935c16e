"""docker-compose.yml and the Dockerfile, as far as they can be checked without an engine."""

import fnmatch
import importlib
import re
from pathlib import Path

import pytest
import yaml
from django.core.management import get_commands, load_command_class

from queue_tasks.conf import Options

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def compose() -> dict:
    return yaml.safe_load((PROJECT / "docker-compose.yml").read_text())


def copied_into_the_image() -> list[str]:
    lines = re.findall(r"^COPY (?:--\S+ )?(.+) \S+$", (PROJECT / "Dockerfile").read_text(), re.MULTILINE)
    return [source for line in lines for source in line.split()]


def test_there_are_postgres_migrations_a_web_server_and_workers(compose):
    services = compose["services"]
    assert services.keys() == {"postgres", "migrate", "web", "worker"}
    assert services["postgres"]["image"] == "postgres:18"
    assert all("healthcheck" in service for name, service in services.items() if name != "migrate")


def test_everybody_waits_for_what_exists(compose):
    services = compose["services"]
    for name, service in services.items():
        for other, wait in service.get("depends_on", {}).items():
            assert other in services, name
            if wait["condition"] == "service_healthy":
                assert "healthcheck" in services[other]
    for name in ("web", "worker"):
        assert services[name]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"


def test_every_volume_is_declared(compose):
    used = {volume.split(":")[0] for service in compose["services"].values() for volume in service.get("volumes", [])}
    assert used == compose["volumes"].keys()


def test_every_command_names_what_is_in_the_image(compose):
    image = copied_into_the_image()
    commands = [service["command"] for service in compose["services"].values() if "command" in service]
    commands += [
        service["healthcheck"]["test"][1:] for service in compose["services"].values() if "healthcheck" in service
    ]
    for command in commands:
        match command:
            case ["python", "manage.py", subcommand, *_]:
                assert "manage.py" in image
                assert subcommand in get_commands()
            case ["python", "-c", code]:
                compile(code, "healthcheck", "exec")
            case ["python", script]:
                assert script in image
            case ["python", "-m", module, *flags]:
                program = (PROJECT / f"{module.replace('.', '/')}.py").read_text()
                assert all(f'"{flag}"' in program for flag in flags if flag.startswith("--"))
            case ["pg_isready", *_]:
                pass
            case _:
                pytest.fail(f"unknown command {command}")


def test_the_settings_named_are_read_by_the_site(compose):
    read = [PROJECT / "site_app/settings.py", *(PROJECT / "site_app/embedded_postgres").glob("*.py")]
    settings = "".join(file.read_text() for file in read)
    for variable in compose["services"]["web"]["environment"]:
        assert f'"{variable}"' in settings


def test_the_image_copies_what_exists_and_is_let_through():
    ignore = (PROJECT / ".dockerignore").read_text().splitlines()
    let_through = [line[1:] for line in ignore if line.startswith("!")]
    for source in copied_into_the_image():
        assert (PROJECT / source).exists()
        assert any(fnmatch.fnmatch(source, pattern) for pattern in let_through), source


def test_the_workers_flags_are_the_commands_own_and_its_health_is_asked_where_it_answers(compose):
    worker = compose["services"]["worker"]
    flags = worker["command"][3:]
    given = (
        load_command_class("queue_tasks", "queue_worker").create_parser("manage.py", "queue_worker").parse_args(flags)
    )
    assert (given.processes, given.concurrency) == (2, 4)
    assert f"http://127.0.0.1:{given.health_port}/livez" in worker["healthcheck"]["test"][-1]
    # The grace time and two seconds, and some to spare.
    assert int(worker["stop_grace_period"].removesuffix("s")) > Options().grace + 2


def test_the_web_servers_health_is_asked_where_it_answers(compose):
    code = compose["services"]["web"]["healthcheck"]["test"][-1]
    assert "http://127.0.0.1:8000/health/" in code
    assert 'path("health/"' in (PROJECT / "site_app/urls.py").read_text()
    assert importlib.import_module("site_app.health").health
