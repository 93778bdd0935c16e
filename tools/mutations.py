"""The seeded bugs of `make mutants`: what is changed where, and the tests that must notice.

Each is one a good reviewer could miss. The old text stands exactly once in its file; tests/tools/test_mutants.py checks
that it still does.
"""

from __future__ import annotations

from dataclasses import dataclass

STATE_MACHINE = "tests/sql/test_state_machine.py"
FETCH = "sql/functions/queue_tasks_fetch_jobs_v1.sql"
FINISH = "sql/functions/queue_tasks_finish_jobs_v1.sql"
RESCUE = "sql/functions/queue_tasks_rescue_jobs_v1.sql"


@dataclass(frozen=True)
class Change:
    """Text of one file, and what stands in its place."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Mutant:
    """A bug. tests: arguments of pytest, the narrowest selection that must turn red."""

    name: str
    changes: tuple[Change, ...]
    tests: tuple[str, ...]


def mutant(name: str, file: str, old: str, new: str, *tests: str) -> Mutant:
    """One that changes one place."""
    return Mutant(name, (Change(file, old, new),), tests)


MUTANTS = (
    # ------------------------------------------------------------------------------------------------------- the fence
    mutant(
        "a finish does not look at its lease",
        FINISH,
        "and j.qt_lease = o.lease and not o.vanishes",
        "and not o.vanishes",
        "tests/sql/test_finish.py::test_only_the_holder_of_the_lease_may_write",
    ),
    mutant(
        "a success that deletes its row does not look at its lease",
        FINISH,
        "and j.qt_lease = o.lease and o.vanishes",
        "and o.vanishes",
        "tests/sql/test_finish.py::test_only_the_holder_of_the_lease_may_write",
    ),
    mutant(
        "a fetch does not raise the lease",
        FETCH,
        "qt_lease = j.qt_lease % 9223372036854775807 + 1,",
        "qt_lease = greatest(j.qt_lease, 1),",
        "tests/sql/test_fetch.py::test_every_fetch_of_a_job_raises_its_lease",
    ),
    mutant(
        "progress is written without the fence",
        "sql/queries/progress_jobs.sql",
        " and j.worker_id = %(worker_id)s::bigint and j.qt_lease = p.lease",
        "",
        "tests/roles/test_progress.py::test_progress_of_a_job_given_to_another_changes_nothing",
    ),
    # ----------------------------------------------------------------------------------------------------------- queues
    mutant(
        "a fetch takes from a queue that is paused",
        FETCH,
        "coalesce(q.paused_until > clock_timestamp(), false) as paused",
        "false as paused",
        "tests/sql/test_queues.py::test_other_queues_go_on",
    ),
    mutant(
        "a fetch takes what was enqueued after a pause",
        FETCH,
        "where q.paused_until > clock_timestamp() or ",
        "where ",
        "tests/sql/test_queues.py::test_a_fetch_that_began_before_a_queue_was_shut_takes_nothing_enqueued_after_that",
    ),
    mutant(
        "a fetch takes more than a limit lets that was set before they were enqueued",
        FETCH,
        " or (q.concurrency is not null and q.queue_name <> all (v_limited))",
        "",
        "tests/sql/test_queues.py::test_a_fetch_that_began_before_a_queue_was_shut_takes_nothing_enqueued_after_that",
    ),
    mutant(
        "a fetch does not look at limits",
        FETCH,
        "q.concurrency is not null as limited",
        "false as limited",
        "tests/sql/test_queues.py::test_no_more_run_than_the_limit_lets",
    ),
    mutant(
        "a fetch from many queues does not look at limits",
        "sql/functions/queue_tasks_take_first_v1.sql",
        "if v_counted or ",
        "if ",
        "tests/sql/test_fetch.py::test_of_more_than_a_few_queues_one_with_a_limit_gives_no_more_than_that",
    ),
    mutant(
        "a fetch from many queues does not look whether a lock is held",
        "sql/functions/queue_tasks_take_first_v1.sql",
        "not exists (select from procrastinate_jobs o where o.lock = w.lock and o.status = 'doing')",
        "true",
        "tests/sql/test_fetch.py::test_of_more_than_a_few_queues_what_may_start_comes_in_order",
    ),
    mutant(
        "a limit is counted before its queue is held, and not after",
        "sql/functions/queue_tasks_hold_limits_v1.sql",
        "where q.queue_name = v_queue for no key update skip locked;",
        "where q.queue_name = v_queue;",
        "tests/sql/test_queues.py::test_a_fetch_waits_for_another_a_moment_and_counts_its_jobs",
    ),
    mutant(
        "the end of a job wakes nobody for its share of a limit",
        "sql/triggers/procrastinate_jobs_qt_updated.sql",
        "where o.status = 'doing' and n.status <> 'doing'\n            and o.queue_name",
        "where o.status = 'doing' and n.status = 'doing'\n            and o.queue_name",
        "tests/sql/test_queues.py::test_the_end_of_a_job_wakes_a_queue_that_has_a_limit",
    ),
    # --------------------------------------------------------------------------------------------------------- attempts
    mutant(
        "a fetch spends an attempt",
        FETCH,
        "            qt_lease = j.qt_lease %",
        "            attempts = j.attempts + 1,\n            qt_lease = j.qt_lease %",
        STATE_MACHINE,
    ),
    mutant(
        "a release spends an attempt",
        FINISH,
        "when o.outcome = any (array['snoozed', 'released']) then 0",
        "when o.outcome = any (array['snoozed']) then 0",
        "tests/sql/test_finish.py::test_no_attempt_is_spent",
    ),
    # ----------------------------------------------------------------------------------------------------------- rescue
    Mutant(
        "a rescue changes what it saw a moment ago, by id only",
        (
            Change(
                RESCUE,
                "\n            and j.status = 'doing' and (j.worker_id is null or j.worker_id = any (v_dead))",
                "",
            ),
            Change(RESCUE, "order by j.id\n        for update skip locked", "order by j.id\n        for update"),
        ),
        ("tests/sql/test_pairs.py", "-k", "come_before_it_has_committed"),
    ),
    mutant(
        "a rescue takes from the living",
        RESCUE,
        "where l.locktype = 'advisory' and",
        "where l.locktype = 'none' and",
        "tests/sql/test_rescue.py::test_the_living_keep_their_jobs",
    ),
    mutant(
        "a rescue does not count the crash",
        RESCUE,
        "qt_crashes = v.crashes,",
        "qt_crashes = 0,",
        "tests/sql/test_rescue.py::test_the_crash_that_is_too_many_fails_the_job_and_says_so",
    ),
    mutant(
        "the last of several twins has the queueing lock",
        "sql/functions/queue_tasks_take_queueing_locks_v1.sql",
        "order by b.queueing_lock, b.id",
        "order by b.queueing_lock, b.id desc",
        "tests/sql/test_rescue.py::test_twins_that_lose_their_worker_together_come_back_and_the_first_has_the_queueing_lock",
    ),
    mutant(
        "what is in hand is reclaimed",
        "sql/functions/queue_tasks_reclaim_jobs_v1.sql",
        "            and j.id <> all (p_in_hand)\n",
        "            and p_in_hand is not null\n",
        "tests/sql/test_rescue.py::test_what_is_in_hand_or_was_fetched_a_moment_ago_is_no_stray",
    ),
    mutant(
        "a deleted worker's jobs go on naming it",
        "sql/triggers/procrastinate_workers_qt_deleted.sql",
        "order by j.id\n        for no key update",
        "and false\n        for no key update",
        STATE_MACHINE,
    ),
    mutant(
        "the heartbeat runs on the worker's event loop",
        "queue_tasks/worker/heartbeat.py",
        "        self._thread.start()\n",
        "        self._task = asyncio.create_task(self._beat(home))\n        self._thread = None\n",
        "tests/roles/test_heartbeat.py::test_it_beats_while_the_event_loop_is_blocked",
    ),
    mutant(
        "a worker that takes its first job for long is dead",
        RESCUE,
        "                            and j.qt_attempted_at <= clock_timestamp()\n",
        "                            and false\n",
        "tests/sql/test_rescue.py::test_a_fetch_is_a_sign_of_life_of_one_that_had_nothing_to_do",
    ),
    mutant(
        "nobody looks after one that has taken its first job for long",
        "sql/functions/queue_tasks_beat_v1.sql",
        "(w.qt_busy or f.jobs > 0)",
        "w.qt_busy",
        "tests/sql/test_rescue.py::test_a_heartbeat_sees_that_another_has_taken_a_job_and_since_when_it_is_silent",
    ),
    mutant(
        "the listener gives the signs of life of one that has a job",
        "queue_tasks/worker/heartbeat.py",
        "            and not self._busy()\n",
        "",
        "tests/roles/test_heartbeat.py::test_nobody_does_with_a_job_in_hand_or_without_ears",
    ),
    mutant(
        "a look that found nothing for one loop is every loop's poll",
        "queue_tasks/worker/lookout.py",
        "            self._nothing_at.pop(find, None)\n",
        "            self._nothing_at[find] = now\n",
        "tests/roles/test_lookout.py::test_a_look_that_found_something_does_not",
    ),
    # ----------------------------------------------------------------------------------------------- the order of locks
    mutant(
        "a cancel locks its rows the other way round",
        "sql/queries/cancel_jobs.sql",
        "order by j.id\n",
        "order by j.id desc\n",
        "tests/sql/test_pairs.py",
        "-k",
        "rows_it_waits_for",
    ),
    mutant(
        "a finish of two kinds locks its rows kind by kind",
        FINISH,
        "if v_two_ways or v_come_back then",
        "if v_come_back then",
        "tests/sql/test_pairs.py",
        "-k",
        "rows_it_waits_for",
    ),
    mutant(
        "queueing locks are taken in the order of the jobs",
        "sql/functions/queue_tasks_take_queueing_locks_v1.sql",
        "order by b.queueing_lock, b.id",
        "order by b.id",
        "tests/sql/test_interleavings.py",
        "-k",
        "queueing_locks_in_one_order",
    ),
    mutant(
        "a fetch waits for a worker that is being deleted",
        FETCH,
        "w.id = p_worker_id for key share skip locked;",
        "w.id = p_worker_id;",
        "tests/sql/test_interleavings.py::test_a_fetch_does_not_wait_for_the_end_of_its_worker",
    ),
    # ------------------------------------------------------------------------------------------------- fetching, waking
    mutant(
        "a fetch waits for rows that another fetch holds",
        FETCH,
        "limit p_max_jobs\n                for update skip locked",
        "limit p_max_jobs\n                for update",
        "tests/sql/test_fetch.py::test_two_fetches_at_once_share_without_waiting",
    ),
    mutant(
        "a fetch does not look whether a lock is held",
        "sql/functions/queue_tasks_free_heads_v1.sql",
        "where w.lock not in (select b.lock from busy b)",
        "where true",
        "tests/sql/test_fetch.py::test_behind_5000_blocked_jobs_the_free_ones_are_found",
    ),
    mutant(
        "a free lock that stands between two held ones is not found",
        "sql/functions/queue_tasks_some_lock_free_v1.sql",
        "j.lock > h.lock and j.lock < h.next",
        "false",
        "tests/sql/test_fetch.py::test_a_free_lock_is_found_before_between_and_behind_held_ones",
    ),
    mutant(
        "a free lock that stands before the first held one is not found",
        "sql/functions/queue_tasks_some_lock_free_v1.sql",
        "j.lock < v_held[1]",
        "false",
        "tests/sql/test_fetch.py::test_a_free_lock_is_found_before_between_and_behind_held_ones",
    ),
    mutant(
        "a free lock that stands behind the last held one is not found",
        "sql/functions/queue_tasks_some_lock_free_v1.sql",
        "j.lock > v_held[v_last]",
        "false",
        "tests/sql/test_fetch.py::test_a_free_lock_is_found_before_between_and_behind_held_ones",
    ),
    mutant(
        "the place that a costly look found is never forgotten",
        "sql/functions/queue_tasks_take_from_place_v1.sql",
        "::timestamp with time zone > clock_timestamp()",
        "::timestamp with time zone is not null",
        "tests/sql/test_fetch.py::test_what_came_before_the_remembered_place_is_found_when_the_place_is_forgotten",
    ),
    mutant(
        "a job that waits may be enqueued with the wish to abort it",
        "sql/triggers/procrastinate_jobs_qt_inserted.sql",
        " or n.abort_requested\n",
        "\n",
        "tests/sql/test_same_as_upstream.py::test_the_same_script_has_the_same_effect",
    ),
    mutant(
        "one of several jobs that wait may be enqueued with the wish to abort it",
        "sql/triggers/procrastinate_jobs_qt_inserted.sql",
        "bool_or(n.abort_requested and n.status = 'todo')",
        "false",
        "tests/sql/test_same_as_upstream.py::test_the_same_script_has_the_same_effect",
    ),
    mutant(
        "a job may be put back into the line with the wish to abort it",
        "sql/triggers/procrastinate_jobs_qt_updated.sql",
        "bool_or(n.abort_requested and n.status = 'todo')",
        "false",
        "tests/sql/test_same_as_upstream.py::test_the_same_script_has_the_same_effect",
    ),
    mutant(
        "what comes after a fetch, in its transaction, is let past the triggers too",
        FETCH,
        "    v_setting := set_config('queue_tasks.fetching', 'off', true);\n",
        "",
        "tests/sql/test_fetch.py::test_only_a_fetch_is_let_past_the_triggers_and_not_what_comes_after_it",
    ),
    mutant(
        "whoever says that he fetches may write events of his own making",
        "sql/functions/queue_tasks_is_not_fetching_v1.sql",
        "\n        or not has_table_privilege('procrastinate_jobs'::regclass, 'update')",
        "",
        "tests/acceptance/test_roles.py::test_a_producer_enqueues_in_every_way_and_reads_nothing",
    ),
    mutant(
        "only a notification wakes the fetcher",
        "queue_tasks/worker/fetcher.py",
        "            await wait_for(wake, self._poll_interval)",
        "            await wait_for(wake, None)",
        "tests/roles/test_fetcher.py::test_it_polls_without_any_hint",
    ),
    mutant(
        "a listener that comes back does not look at what it missed",
        "queue_tasks/worker/listener.py",
        "        # Whatever was said before we listened is found by looking.\n        self._on_ready(None)\n",
        "",
        "tests/roles/test_listener.py::test_it_hears_again_after_its_backend_was_terminated",
    ),
    mutant(
        "a transaction that kept silent is not waited for",
        "queue_tasks/worker/waking.py",
        "            self._settled = not writers",
        "            self._settled = True",
        "tests/roles/test_waking.py::test_a_transaction_that_kept_silent_is_waited_for",
    ),
    mutant(
        "a hint hurries one that waits for transactions past its last look",
        "queue_tasks/worker/waking.py",
        "        if self.asleep:\n            self._look_now()",
        "        if not self._awake:\n            self._look_now()",
        "tests/roles/test_waking.py::test_while_a_transaction_is_waited_for_no_look_is_sent_before_its_turn",
    ),
    mutant(
        "what is heard while a request is under way is forgotten",
        "queue_tasks/worker/fetcher.py",
        "            fetch = self._fetch\n",
        "            self._wake.clear()\n            fetch = self._fetch\n",
        "tests/roles/test_fetcher.py::test_what_is_heard_while_the_request_is_under_way_makes_another",
    ),
    mutant(
        "the second who is named never looks",
        "queue_tasks/worker/waking.py",
        "        if not self._awake:\n            self._look(others=True)",
        "        if self._awake:\n            self._look(others=True)",
        "tests/roles/test_waking.py::test_the_second_looks_when_the_first_does_not",
    ),
    mutant(
        "an old snapshot may keep silent",
        "sql/functions/queue_tasks_wake_queue_v1.sql",
        "current_setting('transaction_isolation') = 'read committed'",
        "true",
        "tests/sql/test_listeners.py::test_a_snapshot_of_the_past_silences_nobody",
    ),
    mutant(
        "who begins to wait does not ask who may keep silent",
        "queue_tasks/following.py",
        "return self.hears and self.known != []",
        "return False",
        "tests/integration/test_results.py::TestWaiting::test_an_end_that_nobody_was_told_of_since_nobody_waited_yet_is_found",
    ),
    mutant(
        "to ask whether anybody follows keeps the lock",
        "sql/functions/queue_tasks_is_followed_v1.sql",
        "then not pg_advisory_unlock(29046, 0)",
        "then false",
        "tests/sql/test_notifications.py::test_to_ask_whether_anybody_follows_leaves_no_lock",
    ),
    mutant(
        "a job that may be due before the commit keeps workers from being told of the next",
        "sql/functions/queue_tasks_tell_scheduled_v1.sql",
        "clock_timestamp() + interval '1 second'",
        "clock_timestamp()",
        "tests/sql/test_notifications.py::test_a_job_that_is_due_or_may_be_before_the_commit_keeps_nobody_from_being_told",
    ),
    mutant(
        "a released lock wakes nobody",
        "sql/triggers/procrastinate_jobs_qt_updated.sql",
        "v_ready := v_ready || v_released_in || v_waiting;",
        "v_ready := v_ready;",
        "tests/sql/test_notifications.py::test_a_released_lock_wakes_the_queue_of_the_next_in_line",
    ),
    mutant(
        "jobs that hold the loop are prefetched as if each slot ran one",
        "queue_tasks/worker/pace.py",
        "interval = max(self._mean_interval, self._mean_duration / self._slots)",
        "interval = self._mean_duration / self._slots",
        "tests/unit/test_pace.py::test_jobs_that_hold_the_loop_count_one_after_the_other_whatever_the_slots",
    ),
    mutant(
        "prefetched jobs are not given back at the stop",
        "queue_tasks/worker/fetcher.py",
        "await self._fetch.task\n        self.hand.give_back()",
        "await self._fetch.task\n        self.hand.forget()",
        "tests/roles/test_fetcher.py::test_stopping_gives_back_what_has_not_started_and_lets_the_rest_run",
    ),
    mutant(
        "a fetch that is stopped half way is forgotten",
        "queue_tasks/worker/fetcher.py",
        "        if self._fetch is not None:\n            # What it fails with",
        "        if self._fetch is not None and self._hushed:\n            # What it fails with",
        "tests/roles/test_fetcher.py::test_a_fetch_that_is_stopped_half_way_loses_no_job",
    ),
    mutant(
        "a fetch is broken off with the loop that waits for it",
        "queue_tasks/worker/fetcher.py",
        "await asyncio.wait([fetch.task])",
        "await fetch.task",
        "tests/roles/test_fetcher.py::test_a_fetch_that_is_stopped_half_way_loses_no_job",
    ),
    mutant(
        "what is hushed while a fetch is under way starts all the same",
        "queue_tasks/worker/fetcher.py",
        "        if self._hushed or self._loop is None:\n            # Told so",
        "        if self._loop is None:\n            # Told so",
        "tests/roles/test_fetcher.py::test_what_a_fetch_brings_that_was_under_way_goes_back_too",
    ),
    mutant(
        "a slot is free a turn of the loop after its job has ended",
        "queue_tasks/worker/slots.py",
        "        self._free(asyncio.current_task(self._loop))\n",
        "",
        "tests/roles/test_hand.py::test_a_slot_is_free_as_its_job_ends_and_not_a_turn_of_the_loop_later",
    ),
    mutant(
        "a last chance starts beside those that run",
        "queue_tasks/worker/slots.py",
        "                if running:\n",
        "                if not running:\n",
        "tests/roles/test_hand.py::test_a_last_chance_waits_for_those_before_it_and_those_after_it_wait_for_its_end",
    ),
    mutant(
        "the end of one that ran alone has others run beside the next such",
        "queue_tasks/worker/slots.py",
        "    def _note_end(self, task: asyncio.Task[None]) -> None:\n",
        "    def _note_end(self, task: asyncio.Task[None]) -> None:\n        self._alone = False\n",
        "tests/roles/test_hand.py::test_one_last_chance_after_the_other_is_alone_as_well",
    ),
    mutant(
        "a libpq that blocks whoever cancels is asked to",
        "queue_tasks/line.py",
        "        if psycopg.capabilities.has_cancel_safe():\n",
        "        if True:\n",
        "tests/roles/test_line.py::test_a_libpq_that_blocks_whoever_cancels_is_not_asked_to",
    ),
    mutant(
        "a libpq that blocks whoever cancels holds up the whole process",
        "queue_tasks/worker/queries.py",
        '    if psycopg.capabilities.has_cancel_safe() or pq.__impl__ == "python":\n',
        "    if True:\n",
        "tests/roles/test_queries.py::test_an_old_libpq_that_waits_for_a_silent_network_does_not_stop_the_process",
    ),
    mutant(
        "a timeout leaves its query behind where psycopg waits in Python",
        "queue_tasks/worker/limits.py",
        "        leave_queries()\n",
        "",
        "tests/roles/test_limits.py::test_a_body_in_a_query_is_told_by_its_cancellation",
    ),
    mutant(
        "a timeout's late cancel strikes the next job in the session",
        "queue_tasks/worker/limits.py",
        "            be_done_with_cancels()\n",
        "",
        "tests/roles/test_queries.py::test_a_cancel_that_is_late_does_not_hit_the_next_job",
    ),
    mutant(
        "a coroutine's late cancel strikes the next job in its thread",
        "queue_tasks/worker/loops.py",
        "    be_done_with_cancels()\n",
        "",
        "tests/roles/test_queries.py::test_a_cancel_that_is_late_does_not_hit_the_next_job",
    ),
    mutant(
        "a session that a cancel may strike goes back to its pool",
        "queue_tasks/worker/queries.py",
        "                self._session.pgconn.finish()\n",
        "",
        "tests/roles/test_queries.py::test_a_cancel_that_is_late_does_not_hit_the_next_job",
    ),
    mutant(
        "a timeout cancels the query of the next job",
        "queue_tasks/worker/limits.py",
        "still=lambda: self._token is token and not self.arrived",
        "still=lambda: not self.arrived",
        "tests/roles/test_limits.py::test_the_query_of_the_next_body_is_not_cancelled_for_one_that_has_ended",
    ),
    mutant(
        "a timeout that comes up as libpq tells of a notice reads what libpq is reading",
        "queue_tasks/worker/queries.py",
        "    session.wait = wait\n",
        "    session.wait(generators.execute(session.pgconn))\n",
        "tests/roles/test_limits.py::test_a_body_whose_query_tells_of_something_meanwhile_is_told_by_its_cancellation",
    ),
    mutant(
        "a timeout that was swallowed is lost",
        "queue_tasks/worker/limits.py",
        "        if token is self._token and token is not _IDLE and threading.get_ident() == self.thread:\n",
        "        if False:\n",
        "tests/roles/test_limits.py::test_where_it_was_swallowed_it_is_raised_again",
    ),
    mutant(
        "a timeout is raised again while the body cleans up after it",
        "queue_tasks/worker/limits.py",
        "        self._exception = weakref.ref(exception, lambda _: self._take_back(token))\n",
        "        self._take_back(token)\n",
        "tests/roles/test_limits.py::test_a_body_that_handles_it_is_not_told_again_however_long_that_takes",
    ),
    mutant(
        "a timeout is raised again as soon as the body has let go of it",
        "queue_tasks/worker/limits.py",
        "if was_let_go and self._interrupt(token)",
        "if self._interrupt(token)",
        "tests/roles/test_limits.py::test_a_body_that_has_let_go_of_it_has_time_to_end",
    ),
    mutant(
        "a job that fails since its timeout has cancelled its query is none that was too slow",
        "queue_tasks/worker/limits.py",
        "            ended = self._judged(ended)\n",
        "",
        "tests/roles/test_limits.py::test_a_body_that_dies_of_a_query_that_was_cancelled_was_too_late",
    ),
    mutant(
        "a query that blocks the loop is cancelled no second time",
        "queue_tasks/worker/limits.py",
        "        self.arrived = False\n        try:",
        "        try:",
        "tests/roles/test_limits.py::test_a_coroutine_that_blocks_the_loop_with_queries_is_told_by_their_cancellation",
    ),
    mutant(
        "a transaction that was refused is left open",
        "queue_tasks/connections.py",
        "                await line.rows(ROLLBACK_TRANSACTION)\n",
        "                pass\n",
        "tests/roles/test_worker_connection.py::test_a_statement_refused_under_a_lock_is_rolled_back_and_keeps_the_session",
    ),
    mutant(
        "a cancellation that psycopg forgets is forgotten",
        "queue_tasks/connections.py",
        "        if self._task.cancelling() > self._cancels:\n",
        "        if False:\n",
        "tests/roles/test_worker_connection.py::test_who_is_cancelled_ends_cancelled_although_what_he_waits_for_forgets_it",
    ),
    mutant(
        "promote ignores the time",
        "sql/functions/queue_tasks_promote_jobs_v1.sql",
        "where j.status = 'todo' and j.scheduled_at <= v_now",
        "where j.status = 'todo' and j.scheduled_at < queue_tasks_parked_until_v1()",
        "tests/sql/test_promote_prune.py::test_due_jobs_become_ready_and_the_next_is_told",
    ),
    mutant(
        "prune deletes what must be kept",
        "sql/functions/queue_tasks_prune_jobs_v1.sql",
        "where j.qt_expires_at <= statement_timestamp()",
        "where j.qt_expires_at is not null",
        "tests/sql/test_promote_prune.py::test_finished_jobs_whose_time_is_over_go_with_their_events",
    ),
    mutant(
        "a running job can be cancelled as if it waited",
        "sql/queries/cancel_jobs.sql",
        "and j.status = 'todo'",
        "and j.status = any (array['todo', 'doing']::procrastinate_job_status[])",
        STATE_MACHINE,
    ),
    # -------------------------------------------------------------------------------------------------------- finishing
    mutant(
        "an error of the finish is swallowed",
        "queue_tasks/worker/finisher.py",
        "            raise\n        finally:\n            self._sent_at, self._answered_at = None",
        "            return batch, {}\n        finally:\n            self._sent_at, self._answered_at = None",
        "tests/roles/test_finisher.py::test_a_terminated_backend_in_the_middle_of_a_write_costs_nothing",
    ),
    mutant(
        "a row that is refused takes its batch with it",
        "queue_tasks/worker/finisher.py",
        "        if len(batch) > 1:\n",
        "        if len(batch) > MAX_BATCH:\n",
        "tests/roles/test_finisher.py::test_a_refused_outcome_is_tried_until_it_is_written_and_the_others_do_not_wait",
    ),
    mutant(
        "a finish does not wait for the disk",
        "queue_tasks/store/client.py",
        'connect(database, "finish", statement_timeout=timeout',
        'connect(database, "finish", durable=False, statement_timeout=timeout',
        "tests/roles/test_store.py::test_a_finish_waits_for_the_disk_and_a_lease_does_not",
    ),
    mutant(
        "a lost answer makes a written job lost",
        "queue_tasks/worker/finisher.py",
        "            if is_doubtful(exc):",
        "            if is_doubtful(exc) and not batch:",
        "tests/roles/test_finisher.py::test_a_lost_answer_is_no_lost_job",
    ),
    mutant(
        "an abort stops whoever has the job by now",
        "queue_tasks/worker/attempts.py",
        "        if attempt is not None and attempt.job.lease == lease:",
        "        if attempt is not None:",
        "tests/roles/test_attempts.py::test_an_abort_is_for_one_lease",
    ),
    mutant(
        "the outcome of an attempt that was lost is written",
        "queue_tasks/worker/attempts.py",
        "        elif attempt.stop_reason is not StopReason.LOST:",
        "        else:",
        "tests/roles/test_attempts.py::test_what_was_lost_is_handed_to_nobody_and_does_not_hide_who_has_the_job_now",
    ),
    mutant(
        "a loop that fails is not started again",
        "queue_tasks/worker/service.py",
        "            self._say(error, wait)\n",
        "            self._say(error, wait)\n            return\n",
        "tests/roles/test_service.py::test_a_loop_that_raises_is_started_again_after_a_wait_that_grows",
    ),
    # ----------------------------------------------------------------------------------------------------------- atomic
    mutant(
        "an atomic body commits although its job was taken away",
        "queue_tasks/worker/atomic.py",
        "    if status is None:\n        raise _LeaseLost",
        "    if status is None:\n        return",
        "tests/integration/test_atomic.py::test_a_body_whose_job_was_taken_away_has_no_effect_and_says_so",
    ),
    mutant(
        "an atomic commit without an answer is taken for a failure",
        "queue_tasks/worker/atomic.py",
        "        if _may_be_committed(exc):\n",
        "        if _may_be_committed(exc) and not finished:\n",
        "tests/integration/test_atomic.py::test_a_connection_lost_at_any_statement_leaves_one_effect",
    ),
    mutant(
        "an atomic body may change another database",
        "queue_tasks/worker/atomic.py",
        "        if not READS.match(text):",
        "        if not text:",
        "tests/integration/test_atomic_elsewhere.py::test_a_statement_that_would_change_another_database_is_refused",
    ),
    # -------------------------------------------------------------------------------------------------------- processes
    mutant(
        "a loop that a task cancels stays dead",
        "queue_tasks/worker/service.py",
        "                self._end_if_stopped()\n                error: BaseException = exc\n",
        "                raise\n",
        "tests/roles/test_service.py::test_a_loop_cancelled_by_nobody_who_may_is_started_again",
    ),
    mutant(
        "a process that says nothing is left alone",
        "queue_tasks/worker/supervisor.py",
        "        elif silent >= limit:\n",
        "        elif silent >= limit and child.over:\n",
        "tests/roles/test_supervisor.py::test_a_process_that_closes_its_line_and_says_nothing_more_is_killed",
    ),
    mutant(
        "a process that does not stop is waited for",
        "queue_tasks/worker/supervisor.py",
        "        if now >= self._kill_at:\n",
        "        if now >= self._kill_at + 3600:\n",
        "tests/roles/test_supervisor.py::test_one_that_does_not_heed_sigterm_is_killed_after_the_grace_time_with_code_1",
    ),
    # ---------------------------------------------------------------------------------------------------------- enqueue
    mutant(
        "of several queues those without a ready job are told too",
        "sql/triggers/procrastinate_jobs_qt_inserted.sql",
        "        where n.status = 'todo' and (n.scheduled_at is null or n.scheduled_at <= clock_timestamp());\n",
        "        ;\n",
        "tests/sql/test_notifications.py",
    ),
    mutant(
        "of several new jobs the first one's queue is told only",
        "sql/triggers/procrastinate_jobs_qt_inserted.sql",
        "    perform from new_jobs offset 1;\n",
        "    perform from new_jobs where false;\n",
        "tests/sql/test_notifications.py::test_one_notification_for_each_queue_however_many_jobs",
    ),
    mutant(
        "a transaction of jobs does not wait for the disk",
        "sql/triggers/procrastinate_jobs_qt_inserted.sql",
        "set_config('synchronous_commit', 'on', true)",
        "set_config('synchronous_commit', 'off', true)",
        "tests/sql/test_durability.py",
    ),
    mutant(
        "a job is enqueued outside the caller's transaction",
        "queue_tasks/caller.py",
        "            with connection.cursor() as cursor:",
        "            with connection.copy().cursor() as cursor:",
        "tests/integration/test_enqueue.py",
        "-k",
        "rolled_back",
    ),
    mutant(
        "who makes a connection's cursors himself is not asked for the next job's",
        "queue_tasks/caller.py",
        'connection.queries_logged or "cursor" in vars(connection)',
        "connection.queries_logged",
        "tests/integration/test_caller.py",
    ),
    mutant(
        "a kept cursor is used by two at once",
        "queue_tasks/caller.py",
        "vars(connection).pop(_KEPT, None)",
        "vars(connection).get(_KEPT, None)",
        "tests/integration/test_caller.py",
    ),
    mutant(
        "a job's statement goes past a cursor that somebody traces",
        "queue_tasks/direct_cursor.py",
        "        and execute.__code__.co_filename == utils.__file__",
        "",
        "tests/integration/test_caller.py",
    ),
    mutant(
        "a transaction's first job is enqueued before the transaction has begun",
        "queue_tasks/direct_cursor.py",
        "(state == pq.TransactionStatus.IDLE and self._session.autocommit)",
        "state == pq.TransactionStatus.IDLE",
        "tests/integration/test_caller.py",
    ),
    mutant(
        "Ctrl-C as a job's statement is sent leaves a session that nobody can use",
        "queue_tasks/direct_cursor.py",
        "            self._libpq.finish()",
        "            pass",
        "tests/integration/test_caller.py",
    ),
    mutant(
        "a NUL character is not refused",
        "queue_tasks/arguments.py",
        '        if "\\x00" in value:',
        '        if value == "\\x00":',
        "tests/unit/test_arguments.py",
        "-k",
        "a_value_that_would_be_changed_or_refused or a_key_that_postgres_cannot_store",
    ),
)
