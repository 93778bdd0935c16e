"""What each statement reads: by which index, and how much of it, whatever else is in the tables.

The plans are made while the tables are empty, in the session that is measured: that is when the planner is most misled.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg import sql

from queue_tasks import statements
from tests import postgres
from tests.sql.meter import Meter
from tests.sql.session import Session

FETCH = "select id, lock from queue_tasks_fetch_jobs_v1(%s, %s::text[], %s)"
PROMOTE = "select promoted from queue_tasks_promote_jobs_v1(%s)"
PRUNE = "select queue_tasks_prune_jobs_v1(%s)"
LOOK = "select ready, next_due_at, due, ticks, lost, expired from queue_tasks_look_v1(%s, %s::text[])"
BEAT = "select running from queue_tasks_beat_v1(%s, false, null, 30, 3)"
QUEUES = (None, ["a"], ["a", "b"], ["other1", "other2"], ["empty"])


@pytest.fixture(scope="module")
def loaded(template_database: str) -> Iterator[Session]:
    """A session whose plans were made on empty tables, and 60,000 rows that are not what it looks for."""
    with postgres.database(f"{postgres.PREFIX}_plans", template_database) as url:
        session = Session(url)
        session.rows("analyze")
        assert session.worker() == 1
        for _ in range(7):
            for queues in QUEUES:
                session.rows(FETCH, 1, queues, 5)
                session.rows(LOOK, 1, queues)
            session.rows(BEAT, 1)
            session.rows(PROMOTE, 5)
            session.rows(PRUNE, 5)
            session.rows("update procrastinate_jobs set status = 'doing' where id = 0")
        # As much as a backlog, but not by the triggers: their cost is not in question here.
        session.rows("set session_replication_role = replica")
        session.jobs(30_000, queue_name=sql.SQL("'other' || n % 4"), priority=sql.SQL("n % 5 + 50"))
        session.jobs(
            10_000, queue_name="a", scheduled_at=sql.SQL("now() + interval '1 day' + make_interval(secs => n)")
        )
        session.jobs(5_000, queue_name="a", scheduled_at=sql.SQL("queue_tasks_parked_until_v1()"))
        session.jobs(5_000, queue_name="a", status="succeeded", qt_expires_at=sql.SQL("now() + interval '1 day'"))
        session.jobs(5_000, queue_name="a", status="failed")
        session.jobs(5_000, queue_name="other1", lock=sql.SQL("'lock' || n"), priority=50)
        session.rows("set session_replication_role = origin")
        yield session
        session.close()


@pytest.fixture
def meter(loaded: Session) -> Iterator[Meter]:
    """The loaded session; what a test adds is taken away after it."""
    newest = loaded.value("select max(id) from procrastinate_jobs")
    yield Meter(loaded)
    loaded.rows("delete from procrastinate_jobs where id > %s", newest)
    loaded.rows("delete from procrastinate_workers where id > 1")
    Meter(loaded).wait_for_others()


def ours(meter):
    meter.session.jobs(500, queue_name="a", priority=1)


@pytest.mark.parametrize("queues", [["a"], ["a", "b"], ["a", "empty"]])
def test_a_fetch_reads_the_ready_index_and_the_rows_it_takes(meter, queues):
    ours(meter)
    meter.measure(FETCH, 1, queues, 10)
    rows, read = meter.measure(FETCH, 1, queues, 10)
    assert len(rows) == 10
    assert "seq_scan" not in read
    assert read["procrastinate_jobs_qt_ready_idx"] <= 100
    assert read["heap"] <= 300, "10 rows: read, locked, written"
    untouched = {
        "procrastinate_jobs_queue_name_idx_v1",
        "procrastinate_jobs_priority_idx_v1",
        "procrastinate_jobs_id_lock_idx_v1",
        "procrastinate_jobs_qt_scheduled_idx",
    }
    assert not untouched & read.keys(), read


def test_a_fetch_from_all_queues_probes_each_queue(meter):
    ours(meter)
    meter.measure(FETCH, 1, None, 10)
    rows, read = meter.measure(FETCH, 1, None, 10)
    assert len(rows) == 10
    assert "seq_scan" not in read
    # Three blocks for each probe, and the pages of what other tests have deleted.
    assert read["procrastinate_jobs_qt_ready_idx"] <= 300
    assert read["procrastinate_jobs_qt_ready_locked_idx"] <= 200
    assert read["procrastinate_jobs_qt_locked_idx"] <= 400
    assert read["heap"] <= 1_000
    assert not {"procrastinate_jobs_priority_idx_v1", "procrastinate_jobs_id_lock_idx_v1"} & read.keys(), read


THOUSAND = [f"many{n}" for n in range(1000)]


@pytest.mark.parametrize("queues", [None, THOUSAND], ids=["all", "named"])
def test_a_fetch_from_a_thousand_queues_reads_the_jobs_it_takes_in_the_line_of_all(meter, queues):
    meter.session.jobs(5_000, queue_name=sql.SQL("'many' || n % 1000"), priority=100)
    meter.measure(FETCH, 1, queues, 10)
    rows, read = meter.measure(FETCH, 1, queues, 10)
    assert len(rows) == 10
    assert "seq_scan" not in read
    # Few, but for the pages of what other tests have deleted.
    assert 1 <= read["procrastinate_jobs_priority_idx_v1"] <= 300, read
    # Nine queues are probed before it is known that there are many; ten rows are read, locked, written.
    assert read.get("procrastinate_jobs_qt_ready_idx", 0) <= 200, read
    assert read["heap"] <= 300, read
    # Whether any job with a lock is ready is asked at first.
    assert read.get("procrastinate_jobs_qt_ready_locked_idx", 0) <= 200, read
    assert "procrastinate_jobs_id_lock_idx_v1" not in read, read


@pytest.mark.parametrize("queues", [None, THOUSAND], ids=["all", "named"])
def test_where_others_stand_before_them_the_head_of_each_of_a_thousand_queues_is_read(meter, queues):
    session = meter.session
    session.jobs(2_000, queue_name="many1", priority=200, scheduled_at=sql.SQL("queue_tasks_parked_until_v1()"))
    session.jobs(5_000, queue_name=sql.SQL("'many' || n % 1000"), priority=100)
    meter.measure(FETCH, 1, queues, 10)
    rows, read = meter.measure(FETCH, 1, queues, 10)
    assert len(rows) == 10
    assert "seq_scan" not in read
    # A few of those that wait; then three blocks for each queue, and ten rows of the ten lines that have the first.
    assert read["procrastinate_jobs_priority_idx_v1"] <= 300, read
    assert read["procrastinate_jobs_qt_ready_idx"] <= 5_000, read
    assert read["heap"] <= 3_000, read
    assert "procrastinate_jobs_id_lock_idx_v1" not in read, read


@pytest.mark.parametrize("queues", [["other1"], None], ids=["one", "all"])
def test_a_high_priority_is_found_in_front_of_a_deep_backlog(meter, queues):
    ids = meter.session.jobs(20, queue_name="other1", priority=99)
    first, _ = meter.measure(FETCH, 1, queues, 10)
    second, read = meter.measure(FETCH, 1, queues, 10)
    assert [row[0] for row in first + second] == ids
    assert "seq_scan" not in read
    assert read["procrastinate_jobs_qt_ready_idx"] <= 300, read
    assert read["heap"] <= 1_000, read


def test_a_fetch_from_an_empty_queue_reads_next_to_nothing(meter):
    meter.measure(FETCH, 1, ["empty"], 10)
    rows, read = meter.measure(FETCH, 1, ["empty"], 10)
    assert rows == []
    assert not {"heap", "seq_scan"} & read.keys(), read
    assert sum(read.values()) <= 20, read


def test_a_fetch_does_not_walk_past_a_blocked_line(meter):
    meter.session.jobs(5_000, queue_name="a", lock="busy", priority=5)
    assert len(meter.session.rows(FETCH, 1, ["a"], 1)) == 1
    ours(meter)
    meter.measure(FETCH, 1, ["a"], 10)
    rows, read = meter.measure(FETCH, 1, ["a"], 10)
    assert len(rows) == 10
    # Of the 5,000 a hundred are looked at, then the head of each lock, of which other queues have thousands.
    assert read["procrastinate_jobs_qt_ready_locked_idx"] <= 200
    assert read["procrastinate_jobs_qt_locked_idx"] <= 6_000
    assert "seq_scan" not in read


def test_where_every_lock_is_held_a_probe_for_each_tells_so(open_session):
    session = open_session()
    worker = session.worker()
    session.jobs(10_000, lock=sql.SQL("'hot' || n % 50"), priority=5)
    assert len(session.fetch(worker, max_jobs=100)) == 50
    session.jobs(100)
    meter = Meter(session)
    meter.measure(FETCH, worker, None, 10)
    rows, read = meter.measure(FETCH, worker, None, 10)
    assert [row[1] for row in rows] == [None] * 10
    assert "seq_scan" not in read
    # Three blocks for each of 50 locks, and of the 9,950 jobs behind them the first alone.
    assert read["procrastinate_jobs_qt_locked_idx"] <= 200, read
    assert read["procrastinate_jobs_qt_ready_locked_idx"] <= 20, read
    assert read["heap"] <= 300, read


def test_locked_jobs_cost_their_own_probes(meter):
    meter.session.jobs(5_000, queue_name="a", lock=sql.SQL("'own' || n"), priority=5)
    meter.measure(FETCH, 1, ["a"], 10)
    rows, read = meter.measure(FETCH, 1, ["a"], 10)
    assert len(rows) == 10
    assert sum(read.values()) <= 1_000, read


@pytest.fixture
def gated(meter: Meter) -> Iterator[Meter]:
    """A thousand queues that are paused or have a limit, and others of which nobody has decided anything."""
    meter.session.rows(
        "insert into queue_tasks_queues (queue_name, paused_until, concurrency) "
        "select 'gate' || n, case when n % 2 = 0 then 'infinity'::timestamptz end, case when n % 2 = 1 then 3 end "
        "from generate_series(1, 1000) n"
    )
    yield meter
    meter.session.rows("delete from queue_tasks_queues")


@pytest.mark.parametrize("queues", [["a"], None], ids=["one", "all"])
def test_gates_of_other_queues_cost_a_fetch_nothing_of_the_jobs(gated, queues):
    gated.session.jobs(500, queue_name="a", priority=100)
    gated.measure(FETCH, 1, queues, 10)
    rows, read = gated.measure(FETCH, 1, queues, 10)
    assert len(rows) == 10
    assert "seq_scan" not in read
    assert read["procrastinate_jobs_qt_ready_idx"] <= 200, read
    assert read["idx_procrastinate_jobs_worker_not_null"] <= 60, "ten rows written, and none counted"


@pytest.mark.parametrize("queues", [["other1", "a"], None], ids=["two", "all"])
def test_a_paused_queue_full_of_jobs_is_not_read(meter, queues):
    meter.session.rows("insert into queue_tasks_queues (queue_name, paused_until) values ('other1', 'infinity')")
    meter.session.jobs(10, queue_name="a", priority=100)
    meter.measure(FETCH, 1, queues, 1)
    rows, read = meter.measure(FETCH, 1, queues, 1)
    meter.session.rows("delete from queue_tasks_queues")
    assert len(rows) == 1
    assert "seq_scan" not in read
    # Of all queues each is probed once, the first of them twice; the locks of the paused one are not walked along.
    assert read["procrastinate_jobs_qt_ready_idx"] <= 200, read
    assert read.get("procrastinate_jobs_qt_locked_idx", 0) <= 100, read
    assert read["heap"] <= 200, read


@pytest.mark.parametrize("queues", [["a"], None], ids=["one", "all"])
def test_a_limit_costs_a_look_at_what_runs(meter, queues):
    session = meter.session
    session.jobs(300, queue_name="a", priority=100)
    session.rows("insert into queue_tasks_queues (queue_name, concurrency) values ('a', 150)")
    assert len(session.fetch(1, ["a"], 100)) == 100
    meter.measure(FETCH, 1, queues, 10)
    rows, read = meter.measure(FETCH, 1, queues, 10)
    session.rows("delete from queue_tasks_queues")
    assert len(rows) == 10
    assert "seq_scan" not in read
    # Twice, before and after the queue is held: the 110 that run, by their workers' index.
    assert read["idx_procrastinate_jobs_worker_not_null"] <= 500, read
    assert read["procrastinate_jobs_qt_ready_idx"] <= 300, read
    assert read["heap"] <= 1_500, read
    assert "procrastinate_jobs_queue_name_idx_v1" not in read, "their queue is not walked along"
    assert "procrastinate_jobs_priority_idx_v1" not in read, read


def test_promote_reads_what_is_due(meter):
    meter.session.jobs(20, queue_name="a", scheduled_at=sql.SQL("now() - make_interval(secs => n)"))
    rows, read = meter.measure(PROMOTE, 10)
    assert rows == [(10,)]
    assert read["procrastinate_jobs_qt_scheduled_idx"] <= 100
    assert read["heap"] <= 300
    assert "seq_scan" not in read


def test_promote_with_nothing_due_does_not_walk_along_the_scheduled(meter):
    rows, read = meter.measure(PROMOTE, 10)
    assert rows == [(0,)]
    assert sum(read.values()) <= 60, read  # the planner, too, looks at the ends of an index


def test_prune_reads_what_has_expired(meter):
    meter.session.jobs(20, status="succeeded", qt_expires_at=sql.SQL("now() - make_interval(secs => n)"))
    rows, read = meter.measure(PRUNE, 10)
    assert rows == [(10,)]
    assert read["procrastinate_jobs_qt_expires_idx"] <= 100
    assert read["heap"] <= 300
    assert "seq_scan" not in read


@pytest.mark.parametrize("queues", [None, ["a"], ["empty", "other1"]])
def test_a_look_around_probes_an_index_for_each_of_its_answers(meter, queues):
    worker = meter.session.worker()
    # Once past what other tests have deleted.
    meter.measure(LOOK, worker, queues)
    ((ready, *_),), read = meter.measure(LOOK, worker, queues)
    assert ready == (queues != ["a"])
    assert not {"seq_scan", "procrastinate_jobs_priority_idx_v1"} & read.keys(), read
    assert sum(read.values()) <= 120, read


def test_a_heartbeat_probes_for_the_jobs_of_each_worker_that_had_none(meter):
    other = meter.session.worker()
    meter.session.rows("update procrastinate_workers set qt_locked = true where id = %s", other)
    meter.measure(BEAT, 1)
    rows, read = meter.measure(BEAT, 1)
    assert rows == [(False,)]
    assert "seq_scan" not in read
    assert 0 < sum(read.values()) <= 20, read


def test_a_finish_reads_its_rows_by_id(meter):
    ours(meter)
    session = meter.session
    for count in (1, 1, 1, 200, 200):
        fetched = session.fetch(1, ["a"], count)
        before = meter.read()
        assert len(session.finish(1, fetched, "succeeded")) == count
        after = meter.read()
        read = {name: after[name] - before[name] for name in after if after[name] != before[name]}
        assert "seq_scan" not in read
        assert read["procrastinate_jobs_pkey"] <= 20 * count + 20
        assert read["heap"] <= 20 * count + 20
        assert "procrastinate_jobs_queue_name_idx_v1" not in read


@pytest.mark.parametrize("lock", [None, sql.SQL("'own' || n")], ids=["plain", "locked"])
def test_a_batch_costs_in_proportion_to_its_size(open_session, lock):
    """The plans of a batch of one are kept, and must do for a batch of 3,000: quadratic ones took 5 s."""
    session = open_session()
    worker = session.worker()
    session.jobs(6_003, lock=lock)
    for count in (1, 1, 1, 3_000, 3_000):
        before = seconds_of_work(session)
        fetched = session.fetch(worker, ["default"], count)
        assert len(fetched) == count
        assert len(session.finish(worker, fetched, "succeeded")) == count
        assert seconds_of_work(session) - before < 2


def seconds_of_work(session: Session) -> float:
    """What the processor has spent on a session so far, however busy it is with others; Linux only."""
    place = Path(f"/proc/{session.connection.info.backend_pid}/stat")
    if not place.exists():
        return 0.0
    user, system = place.read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def test_the_end_of_a_worker_reads_its_running_jobs(meter):
    ours(meter)
    session = meter.session
    worker = session.worker()
    session.fetch(worker, ["a"], 10)
    _, read = meter.measure("delete from procrastinate_workers where id = %s", worker)
    assert "seq_scan" not in read
    assert read["heap"] <= 200
    assert session.value("select count(*) from procrastinate_jobs where status = 'doing' and worker_id is null") == 10


def test_deleting_jobs_reads_their_events(meter):
    ours(meter)
    session = meter.session
    session.rows("delete from procrastinate_jobs where id = 0")
    session.rows("select pg_stat_force_next_flush()")
    look = (
        "select seq_scan, seq_tup_read, idx_tup_fetch from pg_stat_user_tables where relname = 'procrastinate_events'"
    )
    scans, *_ = session.rows(look)[0]
    session.rows(
        "delete from procrastinate_jobs where id = any (select id from procrastinate_jobs "
        "where queue_name = 'a' and priority = 1 order by id limit 10)"
    )
    session.rows("select pg_stat_force_next_flush()")
    assert session.rows(look)[0][0] == scans


def test_measuring_the_backlog_counts_no_further_than_it_may(meter):
    meter.session.rows("analyze procrastinate_jobs")
    backlog = statements.MEASURE_BACKLOG.replace("%(max_jobs)s", "500").replace("%(declared)s", "'{}'")
    meter.measure(backlog)
    rows, read = meter.measure(backlog)
    assert {row[0] for row in rows} == {"a", "other0", "other1", "other2", "other3"}
    assert all(row[1] <= 1_000 for row in rows)
    assert "seq_scan" not in read
    # Of 60,000 rows: 500 of each kind in each of five queues, and the first of each priority.
    assert sum(read.values()) <= 8_000, read


def test_a_fetch_of_any_size_does_not_read_and_sort_the_whole_queue(open_session):
    """From the sixth on a plan serves any limit; with the statistics of a long queue it read all of it by its name."""
    session = open_session()
    worker = session.worker()
    session.jobs(20_000)
    session.rows("vacuum analyze procrastinate_jobs")
    for queues in (None, ["default"]):
        for _ in range(8):
            assert len(session.fetch(worker, queues, 100)) == 100
    session.rows("select pg_stat_force_next_flush()")
    read = dict(
        session.rows(
            "select indexrelname::text, idx_tup_read from pg_stat_user_indexes where relname = 'procrastinate_jobs'"
        )
    )
    assert read["procrastinate_jobs_queue_name_idx_v1"] == 0
    # 1,600 are taken; others' snapshots may keep the entries of those before in the way, but not of those to come.
    assert sum(read.values()) <= 40_000, read


def test_failures_are_grouped_by_the_newest_and_no_others(meter):
    """However many failed: so many entries of one index, so many rows, each looked into once."""
    error = (
        "jsonb_build_array(jsonb_build_object('exception', 'a.Error', 'fingerprint', 'kind' || n % 7, "
        "'traceback', (select string_agg(md5(n::text || m), ' ') from generate_series(1, 200) m)))"
    )
    meter.session.jobs(3_000, queue_name="a", status="failed", qt_errors=sql.SQL(error))
    parameters = {"look": 2_000, "queues": None, "with_args": True, "max_groups": 100}
    before = meter.read()
    groups = meter.session.connection.execute(statements.GROUP_FAILURES, parameters).fetchall()
    after = meter.read()
    read = {name: after[name] - before[name] for name in after if after[name] != before[name]}
    assert sorted(group[1] for group in groups) == [285, 285, 286, 286, 286, 286, 286]
    assert "seq_scan" not in read
    # A row that is too long for its page costs one look into where the rest of it is, which is another table.
    assert read["heap"] <= 500, read
    assert 1 < read["procrastinate_jobs_qt_failed_idx"] <= 100, read
    # To make a plan, a page of every index may be read.
    others = {name: blocks for name, blocks in read.items() if name not in {"heap", "procrastinate_jobs_qt_failed_idx"}}
    assert all(blocks <= 2 for blocks in others.values()), others


@pytest.mark.parametrize("queue", [None, "q7"])
def test_the_chart_of_a_week_reads_its_own_rows(open_session, queue):
    """Whatever other queues have: one probe of the index for each slot."""
    session = open_session()
    session.rows(
        "insert into queue_tasks_figures (grain, begins_at, queue_name, succeeded, failed, retried, other, waited, ran)"
        " select g, date_bin(make_interval(secs => g), now(), timestamptz 'epoch') - n * make_interval(secs => g),"
        " nullif('q' || q, 'q0'), 1, 0, 0, 0, '{1}', '{1}'"
        " from unnest(array[60, 900, 3600]) g, generate_series(0, 199) n, generate_series(0, 49) q"
    )
    session.rows("vacuum analyze queue_tasks_figures")
    given = {"grain": "3600", "slots": "168", "queue_name": "null" if queue is None else f"'{queue}'"}
    chart = statements.READ_FIGURES
    for name, value in given.items():
        chart = chart.replace(f"%({name})s", value)
    assert len(session.rows(chart)) == 168
    ((plan,),) = session.rows(f"explain (analyze, buffers, format json, timing off) {chart}")
    top = plan[0]["Plan"]
    assert '"Seq Scan"' not in str(plan).replace("'", '"')
    # Of 30,000 rows: for each of 168 slots about three blocks of the index and one of the table.
    assert top["Shared Hit Blocks"] + top["Shared Read Blocks"] <= 1_500, top
