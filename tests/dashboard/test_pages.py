"""What the pages show."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError, connection
from django.http import HttpResponse
from django.test import RequestFactory

from queue_tasks import schedules
from queue_tasks.dashboard import access, assets, queries
from queue_tasks.dashboard.filters import JobFilter
from queue_tasks.dashboard.preferences import preferences
from queue_tasks.overview import measure_backlog
from queue_tasks.periodic import Schedule
from tests.dashboard.visitors import SEES, SEES_ALL, address, text_of, visitor
from tests.testapp.tasks import add

NOW = datetime.now(UTC)
FAILURE = {
    "exception": "builtins.ValueError",
    "message": "no such colour",
    "traceback": "Traceback: here\nValueError: no such colour\n",
    "worker_id": 3,
    "started_at": "2026-01-01T00:00:00Z",
    "finished_at": "2026-01-01T00:00:01Z",
}


def test_an_overview_of_nothing_says_so(viewer):
    text = text_of(viewer.get(address("overview")))
    assert "No worker runs." in text
    assert "No job waits, runs or failed." in text


def test_who_may_see_nothing_is_told_why_and_gets_nothing_else(db):
    response = visitor("passer-by").get(address("overview"))
    text = text_of(response)
    assert response.status_code == 403
    assert "<title>You may not see this · Queue</title>" in text
    assert "It needs the permission queue_tasks.view_job." in text
    assert not re.findall(r"<(?:script|link|nav|a|footer)\b", text)


def test_the_overview_says_first_what_needs_attention(viewer, make_job):
    make_job(queue_name="media", qt_enqueued_at=NOW - timedelta(hours=2))
    make_job(queue_name="media", status="failed", qt_errors=[FAILURE], qt_finished_at=NOW)
    text = text_of(viewer.get(address("overview")))
    assert "No live worker serves the queue media, where 1 job is ready." in text
    assert "1 job failed in the queue media." in text
    assert text.index("No live worker") < text.index("1 job failed")


def test_a_live_worker_serves_its_queues_and_a_lost_one_is_named(viewer, make_job, ask):
    make_job(queue_name="media", qt_enqueued_at=NOW - timedelta(hours=10))
    worker = ask(
        "insert into procrastinate_workers (qt_name, qt_host, qt_pid, qt_queues, qt_concurrency) "
        "values ('camel', 'desert', 77, '{media}', 4) returning id"
    )
    text = text_of(viewer.get(address("overview")))
    assert re.search(r"In the queue media jobs wait for 6\d\d minutes\.", text)
    assert "1 worker" in text
    assert "nobody" not in text
    ask(
        "update procrastinate_workers set last_heartbeat = now() - interval '1 hour' where id = %s returning id", worker
    )
    assert "1 worker is lost: no sign of life." in text_of(viewer.get(address("overview")))
    workers = text_of(viewer.get(address("workers")))
    assert "camel" in workers
    assert "lost, 1 h 0 m ago" in workers


def test_the_depth_of_queues_is_what_is_in_them(make_job, db):
    for queue in ("a", "b"):
        make_job(queue_name=queue)
        make_job(queue_name=queue, lock="one")
        make_job(queue_name=queue, scheduled_at=NOW + timedelta(hours=1))
        make_job(queue_name=queue, scheduled_at=NOW + timedelta(hours=1), attempts=1)
        make_job(queue_name=queue, status="failed")
        make_job(queue_name=queue, status="succeeded")
    make_job(queue_name="a", status="doing")
    found = measure_backlog(declared=["declared"], most=queries.CAP)
    assert [(line.name, line.ready, line.scheduled, line.retrying, line.parked) for line in found] == [
        ("a", 2, 1, 1, 0),
        ("b", 2, 1, 1, 0),
        ("declared", 0, 0, 0, 0),
    ]
    assert [(line.running, line.failed) for line in found] == [(1, 1), (0, 1), (0, 0)]
    assert found[0].oldest_ready is not None
    assert found[2].oldest_ready is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "abcd"),
        ("task:resize", "ab"),
        ("task:shop.tasks.resize", "ab"),
        ("task:size", ""),
        ("queue:media", "b"),
        ("status:failed", "c"),
        ("status:ready,failed", "abc"),
        ("status:cancelled", ""),
        ("worker:9", "d"),
        ("lock:one", "b"),
        ("since:1h", "acd"),
        ("since:36500d", "abcd"),
        ("error:ValueError", "c"),
        ("error:COLOUR", "c"),
        ("args.photo:7", "a"),
        ("args.photo:8", ""),
        ("args.a:5", "d"),
        ("args.b:6", "d"),
        ("args.a:6", ""),
    ],
)
def test_a_filter_finds_its_jobs(operator, make_job, ask, text, found):
    ask("insert into procrastinate_workers (id) overriding system value values (9) returning id")
    jobs = {
        "a": make_job(args={"args": [], "kwargs": {"photo": 7}}),
        "b": make_job(queue_name="media", lock="one", qt_enqueued_at=NOW - timedelta(days=2)),
        "c": make_job(task_name="shop.tasks.fail", status="failed", qt_errors=[FAILURE]),
        "d": make_job(task_name=add.module_path, status="doing", worker_id=9, args={"args": [5, 6], "kwargs": {}}),
    }
    response = operator.get(address("jobs"), {"q": text})
    assert response.status_code == 200
    shown = [name for name, job in jobs.items() if f'href="{address("job", job_id=job)}"' in text_of(response)]
    assert "".join(shown) == found


def test_a_filter_that_is_wrong_is_answered_in_words(operator):
    response = operator.get(address("jobs"), {"q": "colour:<b>"})
    assert response.status_code == 400
    assert "&quot;colour:&quot; is not a key." in text_of(response)


def test_pages_follow_each_other_without_a_gap(operator, make_job, settings):
    settings.QUEUE_TASKS_DASHBOARD = {"page_size": 2}
    jobs = [make_job() for _ in range(5)]
    seen, query = [], "?q="
    while query:
        text = text_of(operator.get(address("jobs") + query))
        seen += [job for job in jobs if f'name="id" value="{job}"' in text]
        query = text.partition('rel="next" href="')[2].partition('"')[0].replace("&amp;", "&")
    assert sorted(seen) == jobs


def test_an_open_page_with_ticks_looks_again_at_the_jobs_it_has(operator, make_job, settings):
    settings.QUEUE_TASKS_DASHBOARD = {"page_size": 2}
    jobs = [make_job() for _ in range(4)]

    def shown(query):
        text = text_of(operator.get(address("jobs"), query))
        (again,) = re.findall(r'id="live" hx-get="([^"]*)".* data-upto="([0-9]*)"', text)
        return [job for job in jobs if f'name="id" value="{job}"' in text], again

    assert shown({"q": "task:resize"}) == (jobs[2:], ("?q=task%3Aresize", str(jobs[3])))
    # With none ticked any more it looks at the newest.
    assert shown({"q": "task:resize", "upto": jobs[2]}) == (jobs[1:3], ("?q=task%3Aresize", str(jobs[2])))
    older = {"q": "", "before": jobs[2]}
    assert shown(older) == (jobs[:2], (f"?q=&amp;before={jobs[2]}", str(jobs[1])))
    assert shown({**older, "upto": jobs[0]}) == (jobs[:1], (f"?q=&amp;before={jobs[2]}", str(jobs[0])))
    assert shown({"q": "id:99999", "upto": 5}) == ([], ("?q=id%3A99999", "5"))
    assert operator.get(address("jobs"), {"upto": "x"}).status_code == 400


def test_the_words_of_the_filter_are_not_made_for_a_page_that_has_them(operator):
    words = '<option value="status:"></option>'
    assert words in text_of(operator.get(address("jobs")))
    assert words not in text_of(operator.get(address("jobs"), headers={"HX-Request": "true"}))


@pytest.mark.parametrize("use_tz", [True, False])
def test_pages_say_times_in_the_projects_zone_also_where_they_are_naive(operator, make_job, settings, use_tz):
    settings.USE_TZ, settings.TIME_ZONE = use_tz, "Asia/Kathmandu"
    at = datetime(2026, 1, 31, 20, 30, tzinfo=UTC)
    job = make_job(status="failed", qt_enqueued_at=at, qt_finished_at=at, qt_errors=[FAILURE])
    schedules.add(Schedule(task=add, name="hourly", every=timedelta(hours=1), args=(1,)))
    pages = ["overview", "jobs", "failures", "queues", "workers", "schedules", "changes", "database"]
    for place in [*map(address, pages), address("schedule") + "?name=hourly", address("pause_queue") + "?name=default"]:
        assert operator.get(place).status_code == 200, place
    assert "2026-02-01 02:15:00.000 +0545" in text_of(operator.get(address("job", job_id=job)))


@pytest.mark.parametrize(
    "name", ["jobs", "failures", "queues", "workers", "schedules", "changes", "overview", "database"]
)
def test_every_page_of_what_changes_looks_again(viewer, name):
    text = text_of(viewer.get(address(name)))
    assert re.search(r'<div id="live" hx-get="[^"]*" hx-trigger="look" hx-select="#live" hx-swap="outerHTML"', text)


def test_a_search_ends_where_it_has_looked_and_goes_on_from_there(make_job, db):
    wanted = make_job(queue_name="rare")
    others = [make_job() for _ in range(5)]
    asked = JobFilter(queue="rare")
    page = queries.search(asked, before=None, with_args=True, limit=2, database="default", look=3)
    assert (page.jobs, page.next, page.looked) == ([], others[2], True)
    page = queries.search(asked, before=page.next, with_args=True, limit=2, database="default", look=3)
    assert [job.id for job in page.jobs] == [wanted]


def test_a_job_shows_all_there_is_of_it(operator, make_job):
    job = make_job(
        task_name=add.module_path,
        status="failed",
        lock="one",
        queueing_lock="only",
        args={"args": [5], "kwargs": {"b": 6}},
        qt_errors=[FAILURE],
        qt_started_at=NOW,
        qt_attempted_at=NOW + timedelta(seconds=2),
        qt_finished_at=NOW + timedelta(seconds=5),
        qt_meta={"progress": {"done": 3, "total": 4, "message": "resized"}},
        attempts=1,
    )
    text = text_of(operator.get(address("job", job_id=job)))
    for part in (
        "&quot;a&quot;: 5",
        "&quot;b&quot;: 6",
        "no such colour",
        "Traceback: here",
        "3 of 4: resized",
        "one",
        "only",
    ):
        assert part in text
    assert "ran 3 s" in text


def test_a_result_is_shown(operator, make_job):
    job = make_job(status="succeeded", qt_result={"thumbnails": [1, 2]}, qt_finished_at=NOW)
    assert "&quot;thumbnails&quot;" in text_of(operator.get(address("job", job_id=job)))


def test_what_is_in_a_job_is_only_for_who_may_see_it(viewer, make_job):
    job = make_job(
        status="failed",
        args={"args": [], "kwargs": {"note": "for your eyes"}},
        qt_result={"answer": "for your eyes"},
        qt_errors=[{**FAILURE, "message": "for your eyes", "traceback": "for your eyes"}],
    )
    for page in (address("job", job_id=job), address("jobs"), address("jobs") + "?q=error:eyes"):
        text = text_of(viewer.get(page))
        assert "for your eyes" not in text
    assert f'value="{job}"' not in text_of(viewer.get(address("jobs"), {"q": "error:eyes"}))
    assert "ValueError" in text_of(viewer.get(address("job", job_id=job)))
    response = viewer.get(address("jobs"), {"q": "args.note:for"})
    assert response.status_code == 400
    assert "queue_tasks.view_job_args" in text_of(response)


def test_secrets_are_shown_to_nobody_and_cannot_be_guessed(operator, make_job):
    job = make_job(
        status="succeeded",
        args={"args": [], "kwargs": {"Api-Key": "hush", "user": {"new_PassWord": "hush", "name": "ada"}}},
        qt_result=[{"access_token": "hush"}],
        qt_finished_at=NOW,
    )
    text = text_of(operator.get(address("job", job_id=job)))
    assert "hush" not in text
    assert "ada" in text
    assert operator.get(address("jobs"), {"q": "args.api_key:hush"}).status_code == 400


def test_the_words_of_secrets_are_the_projects(operator, make_job, settings):
    settings.QUEUE_TASKS_DASHBOARD = {"redact": ["salary"]}
    job = make_job(args={"args": [], "kwargs": {"salary": 4000, "token": "shown"}})
    text = text_of(operator.get(address("job", job_id=job)))
    assert "4000" not in text
    assert "shown" in text


@pytest.mark.parametrize(
    "setting",
    [
        {"redact": "salary"},
        {"page_size": 0},
        {"statement_timeout": "2"},
        {"refresh": 0},
        {"pagesize": 5},
        {"backend": 1},
        [],
    ],
)
def test_a_wrong_setting_is_named(settings, setting):
    settings.QUEUE_TASKS_DASHBOARD = setting
    with pytest.raises(ImproperlyConfigured, match="QUEUE_TASKS_DASHBOARD"):
        preferences()


def test_a_long_value_is_cut_and_a_huge_one_is_not_read(operator, make_job):
    long = make_job(args={"args": ["x" * 50_000], "kwargs": {}})
    huge = make_job(args={"args": ["x" * 300_000], "kwargs": {}})
    text = text_of(operator.get(address("job", job_id=long)))
    assert "characters more)" in text
    assert len(text) < 40_000
    text = text_of(operator.get(address("job", job_id=huge)))
    assert "Too long to show: 300,0" in text
    assert len(text) < 20_000


@pytest.mark.parametrize("job_id", [999_999, 2**63 - 1, 2**63, 10**40])
def test_a_job_that_is_not_there(operator, job_id):
    response = operator.get(address("job", job_id=job_id))
    assert response.status_code == 404
    assert f"There is no job {job_id}" in text_of(response)


@pytest.mark.parametrize("before", ["-1", "x", "9" * 30, "1 or 1=1"])
def test_a_page_that_is_none(operator, before):
    assert operator.get(address("jobs"), {"before": before}).status_code == 400
    assert operator.get(address("changes"), {"before": before}).status_code == 400


@pytest.mark.parametrize("name", assets.TYPES)
def test_the_files_are_served_and_kept(viewer, name):
    response = viewer.get(address("asset", version=assets.version(name), name=name))
    assert response.content == assets.content(name)
    assert "immutable" in response["Cache-Control"]
    assert viewer.get(address("asset", version="0", name=name)).status_code == 404
    assert viewer.get(address("asset", version=assets.version(name), name="views.py")).status_code == 404


def test_a_page_carries_what_keeps_it_safe_and_nothing_inline(operator, make_job):
    job = make_job()
    for page in (address("overview"), address("jobs"), address("job", job_id=job), address("schedules")):
        response = operator.get(page)
        nonce = response["Content-Security-Policy"].partition("script-src 'nonce-")[2].partition("'")[0]
        assert f"style-src 'nonce-{nonce}'" in response["Content-Security-Policy"]
        assert "default-src 'none'" in response["Content-Security-Policy"]
        assert response["X-Frame-Options"] == "DENY"
        assert response["X-Content-Type-Options"] == "nosniff"
        assert response["Referrer-Policy"] == "same-origin"
        assert response["Cache-Control"] == "no-store"
        text = text_of(response)
        assert text.count(f'nonce="{nonce}"') == text.count("<script") + text.count("<link rel")
        assert " style=" not in text
        assert "<style" not in text
        assert " onclick" not in text
        assert "//" not in text.replace("http://testserver", "")
        assert operator.get(page)["Content-Security-Policy"] != response["Content-Security-Policy"]


def test_a_read_cannot_write(rf: RequestFactory, operator, monkeypatch, make_job):
    job = make_job()

    @access.guarded(get=access.Permission.VIEW_JOB)
    def careless(_request):
        with connection.cursor() as cursor:
            cursor.execute("delete from procrastinate_jobs")
        return HttpResponse()

    request = rf.get("/")
    request.user = operator.get(address("overview")).wsgi_request.user
    with pytest.raises(Exception, match="read-only transaction"):
        careless(request)
    assert operator.get(address("job", job_id=job)).status_code == 200


def test_a_statement_that_takes_too_long_is_ended_and_the_page_says_so(rf: RequestFactory, operator, settings):
    settings.QUEUE_TASKS_DASHBOARD = {"statement_timeout": 0.05}

    @access.guarded(get=access.Permission.VIEW_JOB)
    def slow(_request):
        with connection.cursor() as cursor:
            cursor.execute("select pg_sleep(60)")
        return HttpResponse()

    request = rf.get("/")
    request.user = operator.get(address("overview")).wsgi_request.user
    response = slow(request)
    assert response.status_code == 503
    assert "more than 0.05 s" in text_of(response)
    with connection.cursor() as cursor:
        cursor.execute("show statement_timeout")
        assert cursor.fetchone() == ("0",)


def test_another_error_of_the_database_is_not_hidden(rf: RequestFactory, operator):
    @access.guarded(get=access.Permission.VIEW_JOB)
    def broken(_request):
        raise OperationalError("the disk is full")

    request = rf.get("/")
    request.user = operator.get(address("overview")).wsgi_request.user
    with pytest.raises(OperationalError, match="disk"):
        broken(request)


def test_pages_are_live_and_work_without_it(viewer):
    text = text_of(viewer.get(address("queues")))
    assert 'hx-trigger="look"' in text
    assert f'data-stream="{address("stream")}" data-refresh="5"' in text
    assert 'hx-select="#live"' in text
    assert "allowEval&quot;:false" in text or '"allowEval":false' in text


def test_the_roles_are_those_of_the_tests(db):
    assert visitor("one", *SEES).get(address("overview")).status_code == 200
    assert visitor("two", *SEES_ALL).get(address("overview")).status_code == 200


def test_a_job_that_waits_says_why(viewer, make_job):
    job = make_job(task_name=add.module_path)
    text = text_of(viewer.get(address("job", job_id=job)))
    assert "Why is this not running?" in text
    assert "No worker is alive" in text
    done = make_job(status="succeeded")
    assert "Why is this" not in text_of(viewer.get(address("job", job_id=done)))
