"""Django's admin: the dashboard's things, by the dashboard's rules, and nothing that could change one."""

import io
import json
import re
from html import unescape
from html.parser import HTMLParser
from urllib.parse import urlsplit

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.core.management import call_command
from django.db import connection, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import path, reverse
from procrastinate.contrib.django.admin import ProcrastinateJobAdmin
from procrastinate.contrib.django.models import ProcrastinateJob

from queue_tasks import models, schedules
from queue_tasks.admin import JobAdmin
from queue_tasks.admin.refusals import UnchangingAdmin
from queue_tasks.admin.stock import ClosedAdmin, close_stock_pages
from queue_tasks.periodic import Schedule
from queue_tasks.testing import drain
from tests.aliases import alias
from tests.chaos.test_s36_dashboard_abuse import HOSTILE, METHODS, hostile_job, hostile_rows
from tests.dashboard.test_secrets import CARD
from tests.dashboard.visitors import OPERATES, SEES, SEES_ALL, address, text_of, visitor
from tests.testapp.stock_tasks import stock_add
from tests.testapp.tasks import add, secretive

TABLES = (
    *("procrastinate_jobs", "procrastinate_workers", "procrastinate_events", "queue_tasks_schedules"),
    *("queue_tasks_queues", "queue_tasks_changes", "django_admin_log"),
)
KINDS = ("job", "queue", "worker", "schedule", "change")
FAILURE = {"exception": "builtins.ValueError", "message": "no such colour", "traceback": "Traceback: here"}
COUNTED = """
    select coalesce(sum(seq_scan), 0), coalesce(sum(seq_tup_read), 0), coalesce(sum(idx_tup_fetch), 0)
    from pg_stat_xact_user_tables where relname in ('procrastinate_jobs', 'procrastinate_events')
"""


def lists(kind):
    return reverse(f"admin:queue_tasks_{kind}_changelist")


def sheet(kind, key):
    return reverse(f"admin:queue_tasks_{kind}_change", args=[admin.utils.quote(str(key))])


def staff(name, *permissions):
    """Who may enter the admin, with these permissions of the dashboard."""
    client = visitor(name, *permissions)
    User.objects.filter(username=name).update(is_staff=True)
    return client


@pytest.fixture
def chief(db):
    return staff("chief", *OPERATES)


@pytest.fixture
def things(make_job, ask):
    """One of each: kind -> the key of its sheet."""
    worker = ask("insert into procrastinate_workers (qt_name, qt_queues) values ('camel', '{default}') returning id")
    assert schedules.add(Schedule(task=add, name="nightly/at 3", cron="0 3 * * *", args=[5, 6]))
    change = ask(
        "insert into queue_tasks_changes (ticket, user_id, user_name, action, target, job_ids, before, after) "
        "values (gen_random_uuid(), '1', 'grace', 'retry', 'job 1', '{1}', '{}', '{}') returning id"
    )
    job = make_job(task_name=add.module_path, args={"args": [5], "kwargs": {"b": 6}}, status="failed")
    return {"job": job, "queue": "default", "worker": worker, "schedule": "nightly/at 3", "change": change}


# ------------------------------------------------------------------------------------------------------ who may do what


def contents(ask):
    """All there is to change."""
    return [ask(f"select json_agg(t)::text from {table} t") for table in TABLES]  # noqa: S608 - names from here


def expected(role, method):
    if role in {"anonymous", "plain", "operator who is not staff"}:
        return 302
    if role == "staff":
        return 403
    return 200 if method in {"GET", "HEAD"} else 405


@pytest.mark.parametrize("debug", [False, True])
def test_every_address_by_everybody(things, ask, settings, debug):
    settings.DEBUG = debug
    visitors = {
        "anonymous": Client(),
        "plain": visitor("plain"),
        "operator who is not staff": visitor("outside", *OPERATES),
        "staff": staff("staff"),
        "viewer": staff("viewer", *SEES),
        "with arguments": staff("reader", *SEES_ALL),
        "operator": staff("operator", *OPERATES),
        "superuser": staff("superuser"),
    }
    addresses = [lists(kind) for kind in KINDS] + [sheet(kind, key) for kind, key in things.items()]
    form = {"action": "delete_selected", "_selected_action": ["1"], "post": "yes", "_save": "1", "id": "1"}
    before, wrong = contents(ask), []
    for role, client in visitors.items():
        for place in addresses:
            for method in METHODS[::2] if debug else METHODS:
                body = {"data": form} if method == "POST" else {}
                response = getattr(client, method.lower())(place, **body)
                if response.status_code != expected(role, method):
                    wrong.append(f"{role} {method} {place}: {response.status_code}")
                if expected(role, method) == 302 and not response["Location"].startswith("/admin/login/?next=/admin/"):
                    wrong.append(f"{role} {method} {place}: sent to {response['Location']}")
    assert wrong == []
    assert contents(ask) == before


@pytest.mark.parametrize("kind", KINDS)
def test_there_is_no_address_that_could_change_anything(things, kind):
    client = staff("superuser")
    for rest in ("add/", "1/delete/", "1/history/", "1/", "add/?_popup=1"):
        for method in (client.get, client.post):
            assert method(lists(kind) + rest).status_code == 404, rest


def test_no_page_lets_anybody_add_change_or_delete(rf, db):
    """What a project asks that builds on them, and what the admin's front page offers."""
    staff("superuser")
    request = rf.get("/admin/")
    request.user = User.objects.get(username="superuser")
    pages = [page for model, page in admin.site._registry.items() if isinstance(page, UnchangingAdmin)]
    assert {page.opts.app_label for page in pages} == {"queue_tasks", "procrastinate"}
    for page in pages:
        open_to_look = page.opts.app_label == "queue_tasks"
        assert page.get_model_perms(request) == {"add": False, "change": False, "delete": False, "view": open_to_look}
        assert page.has_module_permission(request) is open_to_look
        assert page.get_actions(request) == {}


def test_the_front_page_tells_of_it_to_those_who_may_see_it(db):
    assert "/admin/queue_tasks/" not in text_of(staff("staff").get("/admin/"))
    viewer = staff("viewer", *SEES)
    front = text_of(viewer.get("/admin/"))
    assert all(f'href="{lists(kind)}"' in front for kind in KINDS)
    assert "addlink" not in front
    assert "changelink" not in front
    assert viewer.get("/admin/queue_tasks/").status_code == 200
    assert staff("other").get("/admin/queue_tasks/").status_code == 404


def test_nobody_needs_or_gets_permissions_of_djangos_own(db):
    ours = Permission.objects.filter(content_type__app_label="queue_tasks")
    assert set(ours.values_list("codename", flat=True)) == set(OPERATES)
    client = staff("stranger")
    user = User.objects.get(username="stranger")
    user.user_permissions.set(Permission.objects.exclude(content_type__app_label="queue_tasks"))
    assert client.get(lists("job")).status_code == 403


def test_djangos_own_views_of_objects_find_none(things):
    client = staff("superuser")
    kinds = {kind: reverse("admin:view_on_site", args=[content_type(kind), 1]) for kind in KINDS}
    assert {client.get(place).status_code for place in kinds.values()} == {404}
    asked = {"app_label": "queue_tasks", "model_name": "job", "field_name": "id", "term": ""}
    assert client.get(reverse("admin:autocomplete"), asked).status_code == 403


def content_type(kind):
    from django.contrib.contenttypes.models import ContentType

    return ContentType.objects.get(app_label="queue_tasks", model=kind).pk


# -------------------------------------------------------------------------------------------------------- what is shown


def test_arguments_and_messages_are_for_those_who_may_see_them(make_job):
    job = make_job(
        task_name=add.module_path,
        args={"args": [5], "kwargs": {"b": "for your eyes", "password": "hush"}},
        status="failed",
        qt_result={"token": "hush", "answer": "for your eyes"},
        qt_errors=[{**FAILURE, "message": "for your eyes", "traceback": "for your eyes"}],
    )
    places = [sheet("job", job), lists("job"), lists("job") + "?q=error:eyes"]
    viewer, reader = staff("viewer", *SEES), staff("reader", *SEES_ALL)
    for place in places:
        assert "for your eyes" not in text_of(viewer.get(place)), place
        assert "hush" not in text_of(reader.get(place)), place
    assert f'href="{sheet("job", job)}"' not in text_of(viewer.get(places[2]))
    assert "builtins.ValueError" in text_of(viewer.get(places[0]))
    shown = text_of(reader.get(places[0]))
    assert shown.count("for your eyes") == 4
    assert "&quot;a&quot;: 5" in shown
    assert "ValueError: for your eyes" in text_of(reader.get(places[1]))


def test_a_filter_over_arguments_is_refused_as_on_the_dashboard(make_job):
    make_job(args={"args": [], "kwargs": {"note": "x", "api_key": "x"}})
    for client, query, says in (
        (staff("viewer", *SEES), "args.note:x", "queue_tasks.view_job_args"),
        (staff("reader", *SEES_ALL), "args.api_key:x", "cannot be looked for"),
        (staff("operator", *OPERATES), "colour:red", "is not a key"),
    ):
        response = client.get(lists("job"), {"q": query})
        assert response.status_code == 400
        assert says in text_of(response)
        assert "shop.tasks.resize" not in text_of(response)
    found = text_of(staff("superuser").get(lists("job"), {"q": "args.note:x"}))
    assert "shop.tasks.resize" in found


def test_djangos_own_ways_to_ask_do_nothing(chief, make_job):
    """`?args__kwargs__password=` and the like would tell what is not shown, one guess after the other."""
    make_job(args={"args": [], "kwargs": {"password": "hush"}})
    plain = listed(chief.get(lists("job")))
    for query in ("args__kwargs__password=guess", "args__icontains=guess", "o=-3.2", "p=99999", "all=", "_facets=True"):
        assert listed(chief.get(f"{lists('job')}?{query}")) == plain, query


def listed(response):
    """The body of a page's table."""
    assert response.status_code == 200
    return text_of(response).partition("<tbody>")[2].partition("</tbody>")[0]


def test_what_a_task_says_must_be_shown_nowhere_is_not_shown_here(chief, db):
    jobs = [int(secretive.enqueue(CARD, options={}).id), int(secretive.enqueue(card=CARD).id)]
    drain(raise_errors=False)
    assert schedules.add(Schedule(task=secretive, name="nightly", cron="0 3 * * *", args=[CARD]))
    for place in [lists("job"), *(sheet("job", job) for job in jobs), lists("schedule"), sheet("schedule", "nightly")]:
        response = chief.get(place)
        assert response.status_code == 200
        assert CARD not in text_of(response), place


def test_who_may_see_one_queue_sees_nothing_of_another(make_job, ask, settings):
    settings.QUEUE_TASKS_DASHBOARD = {"visible_queues": lambda _request: ["northern"]}
    client, keys = staff("tenant", *OPERATES), {}
    for name in ("northern", "southern"):
        assert schedules.add(Schedule(task=add.using(queue_name=name), name=name, cron="0 3 * * *", args=[1, 2]))
        keys[name] = {
            "job": make_job(queue_name=name, task_name=f"{name}.tasks.pay", status="failed"),
            "queue": name,
            "worker": ask(
                "insert into procrastinate_workers (qt_name, qt_queues) values (%s, array[%s]) returning id", name, name
            ),
            "schedule": name,
            "change": ask(
                "insert into queue_tasks_changes (ticket, user_id, user_name, action, target) "
                "values (gen_random_uuid(), %s, 'x', 'pause', %s) returning id",
                str(User.objects.get(username="tenant").pk) if name == "northern" else "0",
                name,
            ),
        }
    for kind in KINDS:
        own, others = client.get(lists(kind)), client.get(sheet(kind, keys["southern"][kind]))
        assert "northern" in text_of(own), kind
        assert "southern" not in text_of(own), kind
        assert others.status_code == client.get(sheet(kind, 999_999)).status_code == 404, kind
        assert "southern" not in text_of(client.get(sheet(kind, keys["northern"][kind]))), kind
    assert "No such jobs." in text_of(client.get(lists("job"), {"q": "queue:southern"}))


@pytest.mark.parametrize("kind", KINDS)
def test_a_thing_that_is_not_there(chief, things, kind):
    for key in ("0", "-1", "x", "1 or 1=1", "9" * 40, str(2**63), "\x00", "1/2"):
        assert chief.get(sheet(kind, key)).status_code == 404, key


def test_a_page_that_is_none(chief):
    assert chief.get(lists("job"), {"before": "-1"}).status_code == 400
    assert chief.get(lists("change"), {"before": "x"}).status_code == 404


def test_pages_follow_each_other_without_a_gap(chief, make_job, settings):
    settings.QUEUE_TASKS_DASHBOARD = {"page_size": 2}
    jobs, seen, query = [make_job() for _ in range(5)], [], "q="
    while query:
        text = text_of(chief.get(f"{lists('job')}?{query}"))
        seen += [job for job in jobs if f'href="{sheet("job", job)}"' in text]
        query = text.partition('rel="next" href="?')[2].partition('"')[0].replace("&amp;", "&")
    assert sorted(seen) == jobs


def test_jobs_of_strangers_are_shown_as_they_are(chief, ask, db):
    job = stock_add.defer(a=4, b=5)
    worker = ask("insert into procrastinate_workers default values returning id")
    ask("update procrastinate_jobs set worker_id = %s, status = 'doing' where id = %s returning id", worker, job)
    text = text_of(chief.get(sheet("job", job)))
    assert "&quot;a&quot;: 4" in text
    assert f'href="{sheet("worker", worker)}"' in text
    assert "stock worker" in text_of(chief.get(lists("worker")))
    assert "stock worker" in text_of(chief.get(sheet("worker", worker)))


def test_a_queue_says_who_holds_it(chief, ask):
    ask(
        "insert into queue_tasks_queues (queue_name, paused_until, paused_by, concurrency) "
        "values ('media', 'infinity', 'grace', 3) returning queue_name"
    )
    for place in (lists("queue"), sheet("queue", "media")):
        assert "paused by grace, limit 3" in text_of(chief.get(place))


# ----------------------------------------------------------------------------------------------------- where pages lead


def leads_to(response):
    return {urlsplit(unescape(link)).path for link in re.findall(r'href="([^"]+)"', text_of(response))}


def test_each_thing_leads_to_its_page_of_the_dashboard(chief, things):
    pages = {
        "job": address("job", job_id=things["job"]),
        "queue": address("queues"),
        "worker": f"{address('workers')}#worker-{things['worker']}",
        "schedule": f"{address('schedule')}?name=nightly%2Fat+3",
        "change": f"{address('changes')}?before={things['change'] + 1}",
    }
    for kind, page in pages.items():
        for place in (lists(kind), sheet(kind, things[kind])):
            text = text_of(chief.get(place))
            assert f'href="{page}"' in text, place
            assert "Dashboard" in text or "On the dashboard" in text
        assert chief.get(page).status_code == 200
    assert f'id="worker-{things["worker"]}"' in text_of(chief.get(pages["worker"]))


def test_without_the_dashboard_it_works_and_leads_to_none(chief, things, settings):
    settings.ROOT_URLCONF = (path("admin/", admin.site.urls),)
    for kind in KINDS:
        for place in (lists(kind), sheet(kind, things[kind])):
            response = chief.get(place)
            assert response.status_code == 200
            assert "Dashboard" not in text_of(response).partition('id="content"')[2]
            assert not [link for link in leads_to(response) if link.startswith("/queue/")]


def test_an_admin_of_another_name_leads_to_its_own_pages(chief, things, settings):
    site = admin.AdminSite("ops")
    site.register(models.Job, JobAdmin)
    settings.ROOT_URLCONF = (path("ops/", site.urls), path("admin/", admin.site.urls))
    job = things["job"]
    text = text_of(chief.get("/ops/queue_tasks/job/"))
    assert f'href="/ops/queue_tasks/job/{job}/change/"' in text
    assert 'href="/admin/queue_tasks' not in text
    shown = text_of(chief.get(f"/ops/queue_tasks/job/{job}/change/"))
    assert 'href="/ops/queue_tasks/job/"' in shown
    # It has no page of queues.
    assert "queue_tasks/queue/" not in shown


# --------------------------------------------------------------------------------------------------------- hostile text


class Judge(HTMLParser):
    """What a browser would make of our part of a page."""

    TAGS = frozenset(
        ("div", "table", "thead", "tbody", "tr", "th", "td", "span", "a", "p", "h2", "pre", "nav", "strong", "section")
    ) | {"form", "label", "input", "br"}
    NAMES = frozenset(
        ("class", "id", "href", "rel", "scope", "role", "method", "type", "size", "name", "value", "maxlength", "for")
    ) | {"spellcheck", "autocapitalize", "tabindex", "aria-label", "aria-current", "aria-describedby"}

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        if tag not in self.TAGS:
            self.found.append(f"<{tag}>")
        for name, value in attrs:
            if name not in self.NAMES:
                self.found.append(f"<{tag} {name}>")
            if name == "href" and not (value or "").startswith(("/queue/", "/admin/", "?")):
                self.found.append(f"<{tag} {name}={value}>")


def judged(response):
    text = text_of(response)
    judge = Judge()
    judge.feed(text.partition('<div id="content-main">')[2].partition('<br class="clear">\n        </div>')[0])
    around = text.partition('<div id="content-main">')[0]
    return judge.found + [hostile for hostile in HOSTILE if len(hostile) > 12 and hostile in around]


def test_hostile_text_is_text(chief, settings):
    """Also in a project whose templates do not escape."""
    [engine] = settings.TEMPLATES
    settings.TEMPLATES = [{**engine, "OPTIONS": {**engine["OPTIONS"], "autoescape": False}}]
    for number, text in enumerate(HOSTILE):
        hostile_job(text, "failed" if number % 2 else "todo")
        hostile_rows(number, text)
    run, shown = [], 0
    places = [lists(kind) for kind in KINDS] + [f"{lists('job')}?q={text}" for text in ("status:failed", "<b>", '"')]
    for place in places:
        response = chief.get(place)
        assert response.status_code in {200, 400}, place
        run += judged(response)
        shown += text_of(response).count("&lt;script&gt;alert(1)&lt;/script&gt;")
        # The lists show all of it; of the sheets every third is looked at.
        for link in sorted(link for link in leads_to(response) if link.endswith("/change/"))[::3]:
            about = chief.get(link)
            assert about.status_code == 200, link
            run += judged(about)
    assert run == []
    assert shown > 4
    for text in HOSTILE[::5]:
        assert chief.get(sheet("queue", text[:120])).status_code == 200, text
        assert chief.get(lists("job"), {"q": text, "before": text}).status_code == 400, text


# ----------------------------------------------------------------------------------------------------- what it may cost


@pytest.fixture
def many(db, ask):
    """60,000 jobs, one in a hundred failed, in three queues; the oldest is the one of a fourth."""
    with connection.cursor() as cursor:
        # The triggers' work is not in question.
        cursor.execute("set local session_replication_role = replica")
        cursor.execute(
            "insert into procrastinate_jobs (queue_name, task_name, args, status) "
            "select case when n = 1 then 'rare' else 'q' || n % 3 end, 'shop.tasks.pay', '{}', "
            "(case when n % 100 = 0 then 'failed' else 'succeeded' end)::procrastinate_job_status "
            "from generate_series(1, 60000) n"
        )
        cursor.execute("set local session_replication_role = origin")
        cursor.execute("analyze procrastinate_jobs")
    return ask("select max(id) from procrastinate_jobs")


def cost(client, place):
    """Full scans of the jobs' tables, rows read by them, rows read by indexes; and the statements."""
    with connection.cursor() as cursor:
        cursor.execute(COUNTED)
        before = cursor.fetchone()
        with CaptureQueriesContext(connection) as asked:
            assert client.get(place).status_code == 200
        cursor.execute(COUNTED)
        after = cursor.fetchone()
    return [int(then - now) for now, then in zip(before, after, strict=True)], asked.captured_queries


def test_a_page_of_jobs_reads_its_rows_and_a_search_ends(chief, many):
    # A search that finds nothing looks at 20,000 jobs, and for the last of them once more.
    most = {"": 60, "q=status:failed": 60, f"before={many - 30_000}": 60, f"q=id:{many}": 60, "q=queue:rare": 40_100}
    for query, rows in most.items():
        (scans, scanned, fetched), statements = cost(chief, f"{lists('job')}?{query}")
        assert (scans, scanned) == (0, 0), statements
        assert fetched <= rows, statements
        assert not [one for one in statements if re.search(r"count\(\*\)|select distinct", one["sql"], re.IGNORECASE)]
        assert len(statements) <= 10


def test_the_other_pages_read_next_to_no_job(chief, many, things):
    for kind, key in things.items():
        # What is in queues is counted, up to 10,000 jobs of a kind.
        most = 11_000 if kind == "queue" else 100
        for place in (lists(kind), sheet(kind, key)):
            (scans, scanned, fetched), statements = cost(chief, place)
            assert (scans, scanned) == (0, 0), statements
            assert fetched <= most, statements


def test_a_page_costs_as_many_statements_whatever_is_on_it(chief, things, make_job):
    before = {kind: len(cost(chief, lists(kind))[1]) for kind in KINDS}
    for _ in range(30):
        make_job()
    assert {kind: len(cost(chief, lists(kind))[1]) for kind in KINDS} == before


def test_statements_end_in_time_and_write_nothing(chief, things, settings, ask):
    told = []

    def limits(_request):
        told.append([ask(f"show {name}") for name in ("statement_timeout", "transaction_read_only")])

    settings.QUEUE_TASKS_DASHBOARD = {"visible_queues": limits, "statement_timeout": 1.5}
    before = [ask(f"show {name}") for name in ("statement_timeout", "transaction_read_only")]
    for kind in KINDS:
        assert chief.get(lists(kind)).status_code == 200
    assert told == [["1500ms", "on"]] * len(KINDS)
    assert [ask(f"show {name}") for name in ("statement_timeout", "transaction_read_only")] == before


def test_what_takes_too_long_is_ended_and_the_page_says_so(chief, settings, ask):
    settings.QUEUE_TASKS_DASHBOARD = {
        "visible_queues": lambda _request: ask("select pg_sleep(600)"),
        "statement_timeout": 0.05,
    }
    response = chief.get(lists("job"))
    assert response.status_code == 503
    assert "more than 0.05 s" in text_of(response)


# ----------------------------------------------------------------------------------------------- databases and backends


@pytest.mark.django_db(transaction=True)
def test_it_shows_the_database_of_the_backend_that_the_dashboard_shows(make_job, settings):
    job = make_job(queue_name="elsewhere")
    client = staff("chief", *OPERATES)
    ours = "queue_tasks.backend.PostgresBackend"
    with alias("jobs"):
        settings.TASKS = {
            "default": {"BACKEND": ours, "QUEUES": []},
            "others": {"BACKEND": ours, "QUEUES": ["far"], "OPTIONS": {"database": "jobs"}},
        }
        settings.QUEUE_TASKS_DASHBOARD = {"backend": "others"}
        for place in (lists("job"), sheet("job", job), lists("queue"), sheet("queue", "far"), lists("worker")):
            with CaptureQueriesContext(connection) as here, CaptureQueriesContext(connections["jobs"]) as there:
                response = client.get(place)
            assert response.status_code == 200, place
            assert not [one for one in here.captured_queries if "procrastinate" in one["sql"]]
            assert [one for one in there.captured_queries if "procrastinate" in one["sql"]]
        assert "elsewhere" in text_of(client.get(lists("job")))


# ------------------------------------------------------------------------------------------------- models, other admins


def test_the_models_are_in_the_migrations_and_the_project_is_well(db):
    call_command("makemigrations", "queue_tasks", check=True, dry_run=True, verbosity=0)
    call_command("check")


def test_models_of_pages_have_no_rows_whoever_asks(things, django_assert_num_queries):
    pages = (models.Job, models.Queue, models.Worker, models.Schedule)
    with django_assert_num_queries(0):
        for model in pages:
            assert not model.objects.exists()
            assert list(model._base_manager.all()) == []
    out = io.StringIO()
    call_command("dumpdata", *(model._meta.label for model in pages), stdout=out)
    assert json.loads(out.getvalue()) == []
    assert str(models.Job(id=7)) == "job 7"


def test_procrastinates_own_page_is_closed(things):
    client = staff("superuser")
    place = reverse("admin:procrastinate_procrastinatejob_changelist")
    assert client.get(place).status_code == 403
    assert client.get(f"{place}{things['job']}/change/").status_code == 403
    retry = {"action": "retry", "_selected_action": [things["job"]]}
    assert client.post(place, retry).status_code == 403
    assert "procrastinatejob" not in text_of(client.get("/admin/"))
    assert "Procrastinate" not in text_of(client.get("/admin/"))


def test_a_projects_own_page_of_procrastinates_jobs_is_left_alone_and_may_still_come():
    class Own(ProcrastinateJobAdmin):
        pass

    site = admin.AdminSite("own")
    site.register(ProcrastinateJob, Own)
    close_stock_pages(site)
    assert type(site.get_model_admin(ProcrastinateJob)) is Own

    site = admin.AdminSite("later")
    site.register(ProcrastinateJob, ProcrastinateJobAdmin)
    close_stock_pages(site)
    assert type(site.get_model_admin(ProcrastinateJob)) is ClosedAdmin
    # As a project does that puts its own in the place of procrastinate's.
    site.unregister(ProcrastinateJob)
    site.register(ProcrastinateJob, Own)
    assert type(site.get_model_admin(ProcrastinateJob)) is Own
