-- 0001_initial: everything in sql/ at version 0.1.0, frozen
-- Called by  manage.py migrate queue_tasks

-- from sql/upstream/replaced.sql
-- replaced: what we take away from upstream's schema because our own statement-level objects do it
-- Each drop is "if exists", so that it also repairs a database in which a procrastinate upgrade has made them anew.
-- Called by  the migrations; schema.repair
-- Locks      access exclusive on the four tables for an instant
drop trigger if exists procrastinate_jobs_notify_queue_job_inserted_v1 on procrastinate_jobs;
drop trigger if exists procrastinate_jobs_notify_queue_job_aborted_v1 on procrastinate_jobs;
drop trigger if exists procrastinate_trigger_status_events_update_v1 on procrastinate_jobs;
drop trigger if exists procrastinate_trigger_status_events_insert_v1 on procrastinate_jobs;
drop trigger if exists procrastinate_trigger_scheduled_events_v1 on procrastinate_jobs;
drop trigger if exists procrastinate_trigger_abort_requested_events_v1 on procrastinate_jobs;
drop trigger if exists procrastinate_trigger_delete_jobs_v1 on procrastinate_jobs;
alter table procrastinate_jobs drop constraint if exists check_not_todo_abort_requested;
alter table procrastinate_jobs drop constraint if exists procrastinate_jobs_worker_id_fkey;
alter table procrastinate_events drop constraint if exists procrastinate_events_job_id_fkey;
alter table procrastinate_periodic_defers drop constraint if exists procrastinate_periodic_defers_job_id_fkey;

-- from sql/tables/procrastinate_jobs.sql
-- procrastinate_jobs: the columns we add to upstream's table
-- One row tells a job's whole story without a join. Upstream names its columns and does not notice ours.
-- Called by  the migrations; schema.repair
-- Locks      access exclusive on procrastinate_jobs for an instant: no column has a default that rewrites rows
alter table procrastinate_jobs
    add column if not exists qt_enqueued_at timestamp with time zone,
    add column if not exists qt_started_at timestamp with time zone,
    add column if not exists qt_attempted_at timestamp with time zone,
    add column if not exists qt_finished_at timestamp with time zone,
    add column if not exists qt_expires_at timestamp with time zone,
    add column if not exists qt_lease bigint not null default 0,
    add column if not exists qt_crashes integer not null default 0,
    add column if not exists qt_started_lease bigint,
    add column if not exists qt_ephemeral boolean not null default false,
    add column if not exists qt_result jsonb,
    add column if not exists qt_errors jsonb,
    add column if not exists qt_meta jsonb;

-- Set apart from "add column", so that the jobs of before us keep null: nobody knows when they were enqueued.
alter table procrastinate_jobs alter column qt_enqueued_at set default statement_timestamp();

comment on column procrastinate_jobs.qt_enqueued_at is 'When the enqueueing statement ran; null for jobs older than queue_tasks.';
comment on column procrastinate_jobs.qt_started_at is 'When the first attempt started.';
comment on column procrastinate_jobs.qt_attempted_at is 'When the latest attempt started; while it runs, when it was fetched.';
comment on column procrastinate_jobs.qt_finished_at is 'When the last attempt ended; null while the job is unfinished.';
comment on column procrastinate_jobs.qt_expires_at is 'When prune may delete the row; null means never.';
comment on column procrastinate_jobs.qt_lease is 'The fence: raised by every fetch; a worker may write only under the lease it was given.';
comment on column procrastinate_jobs.qt_crashes is 'Deaths of a worker that had the job in hand; from the second on, those while its body ran.';
comment on column procrastinate_jobs.qt_started_lease is 'The lease under which the body of a job with crashes was noted to start.';
comment on column procrastinate_jobs.qt_ephemeral is 'True: no events are written and the row is deleted when the job succeeds.';
comment on column procrastinate_jobs.qt_result is 'The return value of a succeeded job.';
comment on column procrastinate_jobs.qt_errors is 'Array, oldest first, one object for each failed attempt: exception, message, traceback, place, fingerprint, attempt, worker_id, started_at, finished_at.';
comment on column procrastinate_jobs.qt_meta is 'Object: progress, run_after, tags, trace.';

-- from sql/tables/procrastinate_workers.sql
-- procrastinate_workers: the columns we add to upstream's table
-- Who a worker is, for people and for `manage.py queue workers`. A stock worker leaves them null.
-- Called by  the migrations; schema.repair
alter table procrastinate_workers
    add column if not exists qt_name text,
    add column if not exists qt_host text,
    add column if not exists qt_pid integer,
    add column if not exists qt_queues text[],
    add column if not exists qt_concurrency integer,
    add column if not exists qt_locked boolean not null default false,
    add column if not exists qt_started_at timestamp with time zone,
    add column if not exists qt_told text,
    add column if not exists qt_version text,
    add column if not exists qt_memory bigint,
    add column if not exists qt_busy boolean not null default false;

comment on column procrastinate_workers.qt_name is 'The worker''s name; null for a stock procrastinate worker.';
comment on column procrastinate_workers.qt_locked is 'True: the worker holds its advisory lock; nobody holding it means that it is dead.';
comment on column procrastinate_workers.qt_queues is 'The queues it works; null means all.';
comment on column procrastinate_workers.qt_memory is 'Bytes its process held at its last heartbeat; its task processes are not in it. Null: not known.';
comment on column procrastinate_workers.qt_busy is 'Whether it had a job in hand at its last heartbeat.';
comment on column procrastinate_workers.qt_told is 'What an operator has told it: quiet, fetch nothing more; stop, end in order; null: nothing.';

-- from sql/tables/queue_tasks_changes.sql
-- queue_tasks_changes: one row for each thing that somebody did on the dashboard
-- Written in the transaction of the change itself: what was not written here did not happen. Rows are never changed.
-- Called by  the migrations; schema.repair
create table if not exists queue_tasks_changes (id bigint generated always as identity primary key);

alter table queue_tasks_changes
    add column if not exists made_at timestamp with time zone not null default clock_timestamp(),
    add column if not exists ticket uuid not null,
    add column if not exists user_id text not null,
    add column if not exists user_name text not null,
    add column if not exists address text,
    add column if not exists action text not null,
    add column if not exists target text not null,
    add column if not exists job_ids bigint[],
    add column if not exists before jsonb,
    add column if not exists after jsonb;

comment on table queue_tasks_changes is 'One row for each thing that somebody did on the dashboard.';
comment on column queue_tasks_changes.ticket is 'The form that was sent: sent twice, it does nothing the second time.';
comment on column queue_tasks_changes.user_id is 'The user''s primary key, as text.';
comment on column queue_tasks_changes.address is 'Where the request came from.';
comment on column queue_tasks_changes.target is 'What was asked for: job 7, 3 selected jobs, a filter, a schedule''s name.';
comment on column queue_tasks_changes.job_ids is 'The jobs that were changed.';
comment on column queue_tasks_changes.before is 'Object: job id -> its state before; of a schedule, its settings.';
comment on column queue_tasks_changes.after is 'Object: job id -> its state after; of a schedule, its settings.';

-- from sql/tables/queue_tasks_figures.sql
-- queue_tasks_figures: what was done in each minute, quarter of an hour and hour, for charts
-- Workers add what they did, each now and then and all to the same rows, so that charts of a week cost a few hundred rows
-- however many jobs there were, and know of jobs that left no row. Nothing correct depends on it: what a worker could not
-- write when it died is missing. Of each queue there are about four hundred rows; older ones are pruned.
-- Called by  the migrations; schema.repair
create table if not exists queue_tasks_figures (id bigint generated always as identity primary key);

alter table queue_tasks_figures
    add column if not exists grain integer not null,
    add column if not exists begins_at timestamp with time zone not null,
    add column if not exists queue_name text,
    add column if not exists succeeded bigint not null,
    add column if not exists failed bigint not null,
    add column if not exists retried bigint not null,
    add column if not exists other bigint not null,
    add column if not exists waited bigint[] not null,
    add column if not exists ran bigint[] not null;

comment on table queue_tasks_figures is 'What was done in each minute, quarter of an hour and hour, for charts.';
comment on column queue_tasks_figures.grain is 'Seconds that the row is about: 60, 900 or 3600.';
comment on column queue_tasks_figures.begins_at is 'The first of them.';
comment on column queue_tasks_figures.queue_name is 'Null: all queues together.';
comment on column queue_tasks_figures.succeeded is 'Attempts that ended so; a failed one was the last of its job.';
comment on column queue_tasks_figures.other is 'Attempts that were aborted, snoozed, or whose outcome could not be written.';
comment on column queue_tasks_figures.waited is 'First attempts by how long the job had waited: the buckets of queue_tasks.meter.BOUNDS.';
comment on column queue_tasks_figures.ran is 'Attempts by how long they ran: the same buckets.';

-- from sql/tables/queue_tasks_listeners.sql
-- queue_tasks_listeners: who is to be told of jobs, one row for each worker that listens
-- A worker that sleeps on notifications says so here and is told. One that is called so often that it looks by itself
-- says that too: when all who serve a queue do, nobody need be told, and an enqueue saves its notification, for which
-- Postgres makes all writers of the server commit one after the other.
-- Unlogged, and no job depends on it: a queue that nobody in it serves is told to everybody. Written when a worker begins to
-- listen, and when it changes its mind; read by every enqueue, so it must stay as small as the fleet.
-- Called by  the migrations; schema.repair
create unlogged table if not exists queue_tasks_listeners (worker_id bigint primary key);

alter table queue_tasks_listeners
    add column if not exists queues text[],
    add column if not exists asleep boolean;

comment on table queue_tasks_listeners is 'Who is to be told of jobs, one row for each worker that listens.';
comment on column queue_tasks_listeners.queues is 'The queues it works; null means all.';
comment on column queue_tasks_listeners.asleep is 'True: it sleeps and must be told; false: it looks by itself; null: a stock worker, which is always told.';

-- from sql/tables/queue_tasks_queues.sql
-- queue_tasks_queues: what an operator has decided about queues, one row for each queue that was ever paused or limited
-- A gate in front of the ready jobs: a fetch looks here first, and takes nothing of a paused queue, and no more of a limited
-- one than its limit lets run. Most queues have no row, and a queue may have one before its first job.
-- Called by  the migrations; schema.repair
create table if not exists queue_tasks_queues (queue_name text primary key);

alter table queue_tasks_queues
    add column if not exists paused_until timestamp with time zone,
    add column if not exists paused_at timestamp with time zone,
    add column if not exists paused_by text,
    add column if not exists concurrency integer,
    add column if not exists limited_by text;

comment on table queue_tasks_queues is 'What an operator has decided about queues, one row for each queue that was ever paused or limited.';
comment on column queue_tasks_queues.paused_until is 'Until when no job of it is fetched, infinity: until it is resumed; null or past: it is not paused.';
comment on column queue_tasks_queues.paused_at is 'When it was paused last.';
comment on column queue_tasks_queues.paused_by is 'Who paused it last, for people.';
comment on column queue_tasks_queues.concurrency is 'How many of its jobs may run at once, on all workers together; null: as many as there are slots.';
comment on column queue_tasks_queues.limited_by is 'Who changed concurrency last, for people.';

-- from sql/tables/queue_tasks_schedules.sql
-- queue_tasks_schedules: one row for each schedule
-- Declared in code and brought here by every worker that starts, or added by an operator, whose overrides win. Whoever
-- changes when a schedule ticks raises revision, sets last_tick to the present and next_tick to null: a worker finds the
-- next tick, and none before is made up for.
-- Called by  the migrations; schema.repair
create table if not exists queue_tasks_schedules (id bigint generated always as identity primary key);

alter table queue_tasks_schedules
    add column if not exists name text not null,
    add column if not exists declared boolean not null default true,
    add column if not exists task_name text not null,
    add column if not exists queue_name text not null,
    add column if not exists priority integer not null default 0,
    add column if not exists lock text,
    add column if not exists args jsonb not null,
    add column if not exists ephemeral boolean not null default false,
    add column if not exists cron text,
    add column if not exists every double precision,
    add column if not exists timezone text not null,
    add column if not exists missed text not null,
    add column if not exists max_missed integer not null default 1,
    add column if not exists overlap text not null,
    add column if not exists jitter double precision not null default 0,
    add column if not exists override_cron text,
    add column if not exists override_every double precision,
    add column if not exists override_timezone text,
    add column if not exists paused_at timestamp with time zone,
    add column if not exists gone_at timestamp with time zone,
    add column if not exists revision bigint not null default 1,
    add column if not exists last_tick timestamp with time zone not null default clock_timestamp(),
    add column if not exists next_tick timestamp with time zone,
    add column if not exists last_job_id bigint;

comment on table queue_tasks_schedules is 'One row for each schedule: what it enqueues, when it ticks, how far it is.';
comment on column queue_tasks_schedules.declared is 'True: in the code; false: added by an operator.';
comment on column queue_tasks_schedules.every is 'Seconds between ticks, counted from 1970 in UTC; null when there is a cron line.';
comment on column queue_tasks_schedules.missed is 'skip, latest or all: what becomes of ticks at which no worker was there.';
comment on column queue_tasks_schedules.overlap is 'allow or skip: whether a tick makes a job while the last one is unfinished.';
comment on column queue_tasks_schedules.override_cron is 'An operator''s line: it wins, as override_every does, over cron and every.';
comment on column queue_tasks_schedules.gone_at is 'When a worker started whose code does not declare it any more; null: it is declared.';
comment on column queue_tasks_schedules.revision is 'Raised by every change of what it is; a worker fires only what it has read.';
comment on column queue_tasks_schedules.last_tick is 'The newest tick that was seen to, or the time since when it counts.';
comment on column queue_tasks_schedules.next_tick is 'The next tick; null: a worker is to find it.';
comment on column queue_tasks_schedules.last_job_id is 'The newest job it made, for overlap.';

-- from sql/tables/queue_tasks_ticks.sql
-- queue_tasks_ticks: what became of the newest ticks of each schedule
-- The primary key lets one tick make one job, whoever fires. The newest hundred are kept of each schedule; an older tick
-- cannot come again, because queue_tasks_schedules.last_tick has passed it.
-- Called by  the migrations; schema.repair
create table if not exists queue_tasks_ticks (
    schedule_id bigint not null references queue_tasks_schedules on delete cascade,
    tick timestamp with time zone not null,
    primary key (schedule_id, tick)
);

alter table queue_tasks_ticks
    add column if not exists seen_at timestamp with time zone not null default clock_timestamp(),
    add column if not exists outcome text not null,
    add column if not exists passed integer not null default 1,
    add column if not exists job_id bigint;

comment on table queue_tasks_ticks is 'What became of the newest ticks of each schedule.';
comment on column queue_tasks_ticks.seen_at is 'When it was seen to.';
comment on column queue_tasks_ticks.outcome is 'enqueued; run: by an operator, at no tick; overlap: the last job was unfinished; missed: passed over.';
comment on column queue_tasks_ticks.passed is 'Of missed: how many ticks were passed over, this being the newest; of others 1.';

-- from sql/indexes/procrastinate_jobs_id_lock_idx_v1.sql
drop index if exists procrastinate_jobs_id_lock_idx_v1;
-- procrastinate_jobs_id_lock_idx_v1: upstream's index, narrowed to the jobs that have a lock
-- Called by  upstream's fetch (is an earlier job of the same lock waiting?)
create index if not exists procrastinate_jobs_id_lock_idx_v1 on procrastinate_jobs using btree (id, lock) where ((lock is not null) and (status = any (array['todo'::procrastinate_job_status, 'doing'::procrastinate_job_status])));

-- from sql/indexes/procrastinate_jobs_lock_idx_v1.sql
drop index if exists procrastinate_jobs_lock_idx_v1;
-- procrastinate_jobs_lock_idx_v1: upstream's index, narrowed: one running job for each lock, nothing for jobs without
-- Called by  every fetch, stock or ours: the database's own guard that jobs of one lock never overlap
create unique index if not exists procrastinate_jobs_lock_idx_v1 on procrastinate_jobs using btree (lock) where ((status = 'doing'::procrastinate_job_status) and (lock is not null));

-- from sql/indexes/procrastinate_jobs_qt_expires_idx.sql
drop index if exists procrastinate_jobs_qt_expires_idx;
-- procrastinate_jobs_qt_expires_idx: finished jobs by the time they may be deleted
-- Called by  queue_tasks_prune_jobs_v1
create index if not exists procrastinate_jobs_qt_expires_idx on procrastinate_jobs using btree (qt_expires_at) where (qt_expires_at is not null);

-- from sql/indexes/procrastinate_jobs_qt_failed_idx.sql
drop index if exists procrastinate_jobs_qt_failed_idx;
-- procrastinate_jobs_qt_failed_idx: jobs that did not succeed, in the order they were enqueued
-- A job that succeeds never has an entry: it costs it nothing.
-- Called by  the dashboard's lists and counts
create index if not exists procrastinate_jobs_qt_failed_idx on procrastinate_jobs using btree (id) where (status = any (array['failed'::procrastinate_job_status, 'cancelled'::procrastinate_job_status, 'aborted'::procrastinate_job_status]));

-- from sql/indexes/procrastinate_jobs_qt_locked_idx.sql
drop index if exists procrastinate_jobs_qt_locked_idx;
-- procrastinate_jobs_qt_locked_idx: ready jobs that have a lock, each lock's in the order it lets them run
-- Called by  queue_tasks_free_heads_v1, queue_tasks_take_first_v1 (the head of each lock), queue_tasks_some_lock_free_v1; the triggers on procrastinate_jobs (who waits for a released lock)
create index if not exists procrastinate_jobs_qt_locked_idx on procrastinate_jobs using btree (lock, priority desc, id) where ((status = 'todo'::procrastinate_job_status) and (scheduled_at is null) and (lock is not null));

-- from sql/indexes/procrastinate_jobs_qt_ready_idx.sql
drop index if exists procrastinate_jobs_qt_ready_idx;
-- procrastinate_jobs_qt_ready_idx: the jobs a worker may fetch now, in the order it fetches them
-- Scheduled and parked jobs, and jobs that have a lock, are not in it: a fetch never walks past rows it cannot take.
-- Called by  queue_tasks_fetch_jobs_v1 and its parts
create index if not exists procrastinate_jobs_qt_ready_idx on procrastinate_jobs using btree (queue_name, priority desc, id) where ((status = 'todo'::procrastinate_job_status) and (scheduled_at is null) and (lock is null));

-- from sql/indexes/procrastinate_jobs_qt_ready_locked_idx.sql
drop index if exists procrastinate_jobs_qt_ready_locked_idx;
-- procrastinate_jobs_qt_ready_locked_idx: ready jobs that have a lock, each queue's in fetch order
-- Apart from the ready jobs without a lock, since these may have to be walked past: their lock is held.
-- Called by  queue_tasks_ready_locked_queues_v1, queue_tasks_free_heads_v1
create index if not exists procrastinate_jobs_qt_ready_locked_idx on procrastinate_jobs using btree (queue_name, priority desc, id) where ((status = 'todo'::procrastinate_job_status) and (scheduled_at is null) and (lock is not null));

-- from sql/indexes/procrastinate_jobs_qt_scheduled_idx.sql
drop index if exists procrastinate_jobs_qt_scheduled_idx;
-- procrastinate_jobs_qt_scheduled_idx: jobs that wait for their time, earliest first
-- Called by  queue_tasks_promote_jobs_v1
create index if not exists procrastinate_jobs_qt_scheduled_idx on procrastinate_jobs using btree (scheduled_at) where ((status = 'todo'::procrastinate_job_status) and (scheduled_at is not null));

-- from sql/indexes/procrastinate_jobs_qt_unowned_idx.sql
drop index if exists procrastinate_jobs_qt_unowned_idx;
-- procrastinate_jobs_qt_unowned_idx: running jobs of no worker, whose worker's row was deleted
-- Nearly always empty: it costs a job nothing.
-- Called by  queue_tasks_rescue_jobs_v1
create index if not exists procrastinate_jobs_qt_unowned_idx on procrastinate_jobs using btree (id) where ((status = 'doing'::procrastinate_job_status) and (worker_id is null));

-- from sql/indexes/procrastinate_jobs_queue_name_idx_v1.sql
drop index if exists procrastinate_jobs_queue_name_idx_v1;
-- procrastinate_jobs_queue_name_idx_v1: upstream's index, narrowed to the jobs that wait: to fetch and to finish a job adds no entry
-- Called by  upstream's fetch from named queues
create index if not exists procrastinate_jobs_queue_name_idx_v1 on procrastinate_jobs using btree (queue_name) where (status = 'todo'::procrastinate_job_status);

-- from sql/indexes/procrastinate_jobs_queueing_lock_idx_v1.sql
drop index if exists procrastinate_jobs_queueing_lock_idx_v1;
-- procrastinate_jobs_queueing_lock_idx_v1: upstream's index, narrowed: a job without a queueing lock pays nothing for it
-- Called by  upstream's defer (on conflict); the narrower predicate is implied by every value that can conflict
create unique index if not exists procrastinate_jobs_queueing_lock_idx_v1 on procrastinate_jobs using btree (queueing_lock) where ((status = 'todo'::procrastinate_job_status) and (queueing_lock is not null));

-- from sql/indexes/queue_tasks_changes_ticket_idx.sql
drop index if exists queue_tasks_changes_ticket_idx;
-- queue_tasks_changes_ticket_idx: a form sent twice changes something once
-- Called by  queries/begin_change.sql
create unique index if not exists queue_tasks_changes_ticket_idx on queue_tasks_changes using btree (ticket);

-- from sql/indexes/queue_tasks_figures_place_idx.sql
drop index if exists queue_tasks_figures_place_idx;
-- queue_tasks_figures_place_idx: one row for a stretch of time and a queue, or for all queues
-- Called by  queries/record_figures.sql, queries/read_figures.sql
create unique index if not exists queue_tasks_figures_place_idx on queue_tasks_figures using btree (grain, queue_name, begins_at) nulls not distinct;

-- from sql/indexes/queue_tasks_schedules_name_idx.sql
drop index if exists queue_tasks_schedules_name_idx;
-- queue_tasks_schedules_name_idx: a schedule's name is its own
-- Called by  sync, and everything an operator does
create unique index if not exists queue_tasks_schedules_name_idx on queue_tasks_schedules using btree (name);

-- from sql/functions/queue_tasks_parked_until_v1.sql
-- queue_tasks_parked_until_v1() -> timestamp with time zone
-- The scheduled_at of a parked job: it waits for somebody to free it, not for a time.
-- A finite date, since clients cannot load 'infinity', with room for any time zone's offset below the year 9999.
-- Called by  queue_tasks_promote_jobs_v1, queue_tasks_look_v1, the triggers on procrastinate_jobs, the statements that show a job's state
create or replace function queue_tasks_parked_until_v1() returns timestamp with time zone
    language sql immutable parallel safe
as $body$
    select '9000-01-01 00:00:00+00'::timestamp with time zone
$body$;

comment on function queue_tasks_parked_until_v1() is 'The scheduled_at of a parked job.';

-- from sql/functions/queue_tasks_beat_v1.sql
-- queue_tasks_beat_v1(worker_id, busy, memory, dead_after, silent_after) -> 0 or 1 row: silence, running, told; no row: the worker is not registered any more
-- A worker's sign of life, and what it finds out of the others with it.
-- busy:         whether it has a job in hand
-- memory:       bytes it holds; null: not known
-- dead_after, silent_after: seconds, as in queue_tasks_rescue_jobs_v1
-- silence:      seconds for which the most silent of the others has given no sign of life that it should have given; 0: there is none
-- running:      whether another worker that holds a lock has a job in hand: its end would have to be noticed soon
-- told:         what an operator has told this worker
-- Called by  queries/heartbeat.sql, queries/look_around.sql
-- Writes     procrastinate_workers
-- Locks      the worker's row, until commit; waits for it for a second at the most, as its listener waits here too
-- Index      idx_procrastinate_jobs_worker_not_null
--
-- Of a worker that said it is busy, the heartbeat counts. One that said it is not gives signs more seldom: when it has
-- taken a job since, the time of its fetch is a sign as well. One without a lock counts when it is dead by its silence alone.
create or replace function queue_tasks_beat_v1(
    p_worker_id bigint,
    p_busy boolean,
    p_memory bigint,
    p_dead_after double precision,
    p_silent_after double precision
) returns table (silence double precision, running boolean, told text)
    language plpgsql
    set lock_timeout = '1s'
    set enable_seqscan = off
    set enable_hashjoin = off
    set enable_mergejoin = off
    set jit = off
as $body$
begin
    update procrastinate_workers w
    set last_heartbeat = clock_timestamp(), qt_busy = p_busy, qt_memory = p_memory
    where w.id = p_worker_id
    returning w.qt_told into told;
    if not found then
        return;
    end if;
    select
        coalesce(
            max(case
                when a.age > p_dead_after or (w.qt_locked and w.qt_busy) then a.age
                when w.qt_locked and f.jobs > 0 then least(a.age, f.age)
                when w.qt_locked and a.age > 2 * p_silent_after then a.age
            end),
            0
        ),
        coalesce(bool_or(w.qt_locked and a.age <= p_dead_after and (w.qt_busy or f.jobs > 0)), false)
    into silence, running
    from procrastinate_workers w
    -- Seconds as numbers: an infinite time, which a stranger may have written, has no difference to another.
    cross join lateral (
        select date_part('epoch', clock_timestamp()) - date_part('epoch', w.last_heartbeat) as age
    ) a
    left join lateral (
        select
            count(*) as jobs,
            date_part('epoch', clock_timestamp()) - date_part('epoch', max(j.qt_attempted_at)) as age
        from procrastinate_jobs j
        where j.worker_id = w.id and j.status = 'doing'
    ) f on w.qt_locked and not w.qt_busy
    where w.id <> p_worker_id;
    return next;
end
$body$;

comment on function queue_tasks_beat_v1(bigint, boolean, bigint, double precision, double precision) is 'A worker''s sign of life, and what it finds out of the others with it.';

-- from sql/functions/queue_tasks_count_running_v1.sql
-- queue_tasks_count_running_v1(queues text[]) -> one row for each of them: queue_name text, running bigint
-- How many jobs of these queues run now, whoever runs them. Reads the running jobs of all queues: as many as there are slots.
-- Called by  queue_tasks_hold_limits_v1
-- Index      idx_procrastinate_jobs_worker_not_null, procrastinate_jobs_qt_unowned_idx
create or replace function queue_tasks_count_running_v1(p_queues text[])
    returns table (queue_name text, running bigint)
    language plpgsql
    stable
    set enable_seqscan = off
    set enable_bitmapscan = off
    set enable_hashjoin = off
    set enable_mergejoin = off
    set jit = off
as $body$
#variable_conflict use_column
begin
    return query
    with running as materialized (
        select j.queue_name from procrastinate_jobs j where j.status = 'doing' and j.worker_id is not null
        union all
        select j.queue_name from procrastinate_jobs j where j.status = 'doing' and j.worker_id is null
    ),
    counted as materialized (
        select r.queue_name, count(*) as running from running r where r.queue_name = any (p_queues) group by r.queue_name
    )
    select q.name, coalesce((select c.running from counted c where c.queue_name = q.name), 0)
    from unnest(p_queues) q (name);
end
$body$;

comment on function queue_tasks_count_running_v1(text[]) is 'How many jobs of some queues run now.';

-- from sql/functions/queue_tasks_enqueue_job_v1.sql
-- queue_tasks_enqueue_job_v1(queue_name, task_name, priority, lock, args, run_after, ephemeral, meta) -> bigint[]
-- Insert one job, in the caller's transaction; its id, and the time of the statement as microseconds since 1970. A function, since the
-- session keeps its plan: what Django sends is planned anew each time, so that a second column for the time would cost more than the
-- look for sleeping workers. And Django's reading of a time costs a client as much as eight arguments. Nothing is checked here;
-- whoever writes SQL calls queue_tasks_enqueue_v1.
-- run_after: null or a time past means ready at once. meta: null, or an object that run_after is added to.
-- Called by  queries/enqueue_job.sql <- enqueue.enqueue_job; queue_tasks_enqueue_v1
-- Writes     procrastinate_jobs; events and wake-ups by trigger
create or replace function queue_tasks_enqueue_job_v1(
    p_queue_name text,
    p_task_name text,
    p_priority integer,
    p_lock text,
    p_args jsonb,
    p_run_after timestamp with time zone,
    p_ephemeral boolean,
    p_meta jsonb
) returns bigint[]
    language plpgsql
as $body$
declare
    v_id bigint;
begin
    -- Most have none: in the statement itself this is set up for each job.
    if p_run_after is not null then
        p_meta := coalesce(p_meta, '{}') || jsonb_build_object('run_after', p_run_after);
        if p_run_after <= statement_timestamp() then
            p_run_after := null;
        end if;
    end if;
    insert into procrastinate_jobs (queue_name, task_name, priority, lock, args, scheduled_at, qt_ephemeral, qt_meta)
    values (
        p_queue_name,
        p_task_name,
        p_priority,
        p_lock,
        p_args,
        p_run_after,
        p_ephemeral,
        p_meta
    )
    returning id into v_id;
    return array[v_id, (date_part('epoch', statement_timestamp()) * 1000000)::bigint];
end
$body$;

comment on function queue_tasks_enqueue_job_v1(text, text, integer, text, jsonb, timestamp with time zone, boolean, jsonb) is 'Insert one job; returns its id, and when, as microseconds since 1970.';

-- from sql/functions/queue_tasks_enqueue_ticks_v1.sql
-- queue_tasks_enqueue_ticks_v1(schedule_id, ticks, run_afters) -> one row for each tick: tick timestamptz, job_id bigint
-- Enqueue one job of a schedule for each tick, in the order given. run_afters: of the length of ticks; past means now.
-- Called by  queue_tasks_fire_schedule_v1, queue_tasks_run_schedule_v1
-- Writes     procrastinate_jobs
create or replace function queue_tasks_enqueue_ticks_v1(p_schedule_id bigint, p_ticks timestamp with time zone[], p_run_afters timestamp with time zone[])
    returns table (tick timestamp with time zone, job_id bigint)
    language plpgsql
as $body$
begin
    return query
    insert into procrastinate_jobs (queue_name, task_name, priority, lock, args, scheduled_at, qt_ephemeral, qt_meta)
    select
        s.queue_name,
        s.task_name,
        s.priority,
        s.lock,
        s.args,
        case when t.run_after > clock_timestamp() then t.run_after end,
        s.ephemeral,
        jsonb_build_object('schedule', s.name, 'scheduled_for', t.tick)
    from unnest(p_ticks, p_run_afters) with ordinality as t (tick, run_after, position)
    join queue_tasks_schedules s on s.id = p_schedule_id
    order by t.position
    returning (qt_meta ->> 'scheduled_for')::timestamp with time zone, id;
end
$body$;

comment on function queue_tasks_enqueue_ticks_v1(bigint, timestamp with time zone[], timestamp with time zone[]) is 'Enqueue one job of a schedule for each tick.';

-- from sql/functions/queue_tasks_enqueue_v1.sql
-- queue_tasks_enqueue_v1(task, args, kwargs, queue_name, priority, run_after, lock, ephemeral) -> bigint
-- Enqueue one job from SQL, in the caller's transaction: from psql, a trigger, another language. Returns the job's id.
-- The setting queue_tasks.traceparent, if it is set, names the span of OpenTelemetry that enqueues.
-- Called by  users
-- Writes     procrastinate_jobs, by queue_tasks_enqueue_job_v1
-- Raises     QT001 an argument is missing or of the wrong shape
create or replace function queue_tasks_enqueue_v1(
    task text,
    args jsonb default '[]',
    kwargs jsonb default '{}',
    queue_name text default 'default',
    priority integer default 0,
    run_after timestamp with time zone default null,
    lock text default null,
    ephemeral boolean default false
) returns bigint
    language plpgsql
as $body$
#variable_conflict use_variable
declare
    -- Of the span that enqueues, if the session or the transaction names one: a trigger has nobody to be told by.
    v_trace constant text := current_setting('queue_tasks.traceparent', true);
    v_meta jsonb;
begin
    if task is null or task = '' or length(task) > 128 then
        raise exception 'queue_tasks_enqueue_v1: task is %, expected the dotted path of a task, 1 to 128 characters', coalesce(quote_literal(task), 'null')
            using errcode = 'QT001', hint = 'For example: task => ''site_app.photos.tasks.make_rendition''';
    end if;
    if args is null or jsonb_typeof(args) <> 'array' then
        raise exception 'queue_tasks_enqueue_v1: args of task % is %, expected a JSON array', task, coalesce(jsonb_typeof(args), 'null')
            using errcode = 'QT001', hint = 'Positional arguments: args => ''[1, "two"]''; named ones: kwargs => ''{"name": 1}''';
    end if;
    if kwargs is null or jsonb_typeof(kwargs) <> 'object' then
        raise exception 'queue_tasks_enqueue_v1: kwargs of task % is %, expected a JSON object', task, coalesce(jsonb_typeof(kwargs), 'null')
            using errcode = 'QT001', hint = 'Named arguments: kwargs => ''{"name": 1}''';
    end if;
    if queue_name is null or queue_name = '' or length(queue_name) > 128 then
        raise exception 'queue_tasks_enqueue_v1: queue_name of task % is %, expected 1 to 128 characters', task, coalesce(quote_literal(queue_name), 'null')
            using errcode = 'QT001';
    end if;
    if priority is null or priority not between -100 and 100 then
        raise exception 'queue_tasks_enqueue_v1: priority of task % is %, expected a whole number from -100 to 100', task, coalesce(priority::text, 'null')
            using errcode = 'QT001';
    end if;
    if run_after >= queue_tasks_parked_until_v1() or run_after = '-infinity' then
        raise exception 'queue_tasks_enqueue_v1: run_after of task % is %, expected a time before the year 9000', task, run_after
            using errcode = 'QT001', hint = 'A job that must wait for something else than a time is parked, which only queue_tasks does.';
    end if;
    if v_trace ~ '^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$' then
        v_meta := jsonb_build_object('trace', jsonb_build_object('traceparent', v_trace));
    end if;
    return (queue_tasks_enqueue_job_v1(
        queue_name,
        task,
        priority,
        lock,
        jsonb_build_object('args', args, 'kwargs', kwargs),
        run_after,
        coalesce(ephemeral, false),
        v_meta
    ))[1];
end
$body$;

comment on function queue_tasks_enqueue_v1(text, jsonb, jsonb, text, integer, timestamp with time zone, text, boolean) is 'Enqueue one job in the caller''s transaction; returns its id.';

-- from sql/functions/queue_tasks_fetch_jobs_v1.sql
-- queue_tasks_fetch_jobs_v1(worker_id bigint, queues text[], max_jobs integer) -> 0..max_jobs rows
-- Take ready jobs for one worker, highest priority first, then oldest, and mark them running under a new lease. Fewer
-- than max_jobs does not mean that none is left: jobs behind a lock, or held by another fetch, may be. None does.
-- queues: names; null means every queue. No attempt is spent: that is for the run that starts.
-- Nothing is taken of a paused queue, and of one with a limit no more than it lets run, over all workers. limited: whether
-- the job's queue has one, so that its end lets another start.
-- Called by  queries/fetch_jobs.sql
-- Writes     procrastinate_jobs (status, worker_id, qt_lease, qt_started_at, qt_attempted_at), procrastinate_events
-- Locks      the returned rows, for update skip locked, the worker, for key share skip locked, and the rows of queues that
--            have a limit, room and ready jobs, for no key update, until commit
-- Index      procrastinate_jobs_qt_ready_idx, and those that its parts name
-- Raises     QT001 max_jobs < 1; QT002 the worker is not registered; 23505 another fetch took a job of the same lock: again
--
-- Which queues have ready jobs is found first. Where there is one, no job with a lock is ready and no gate is shut, which is the
-- usual case, two statements are all there is: one sees that it is so, the other takes and starts its first jobs. To prepare a
-- statement's execution is most of its cost. Everything else has a function of its own; one that is called as a value costs nothing.
--
-- The planner is held to our indexes, here and in the parts, which run under these settings: a queue is empty one
-- moment and long the next, and a plan made from the statistics of the empty one would read the whole queue. So other
-- ways to scan are shut, and ">= and <=" stands for "=": then the order wanted begins with the column, and only our
-- index has it. With "=" the planner knows that the column is constant, and upstream's index on (priority, id) would
-- do as well, through all other queues' jobs. Sorting is shut, or a plan made for any limit, of which the planner
-- expects little, reads and sorts the whole queue by upstream's index on its name. It is open for the one part that
-- must sort what it reads: before Postgres 18 the penalty would drown every other difference between its plans.
--
-- Plans are for any values, and kept. Postgres would take a plan for the ids at hand to be worth the planning, as long as they
-- are few, and make one at each fetch, for the triggers too: a sixth of what a fetch of one job costs.
--
-- While somebody holds an old snapshot, the index entries of jobs long done cannot be taken away, and each look walks past
-- all of them. A look that read many more rows than it took is therefore remembered by the session, for fifty times as long
-- as it took and at most two seconds: the next ones begin where it found the first job. What came before that place
-- meanwhile (a retry, a job promoted, one of another queue or with a lock) is found by the next look from the beginning.
create or replace function queue_tasks_fetch_jobs_v1(p_worker_id bigint, p_queues text[], p_max_jobs integer)
    returns table (
        id bigint,
        lease bigint,
        queue_name text,
        task_name text,
        priority integer,
        lock text,
        queueing_lock text,
        args text,
        attempts integer,
        crashes integer,
        enqueued_at timestamp with time zone,
        started_at timestamp with time zone,
        attempted_at timestamp with time zone,
        ephemeral boolean,
        errors text,
        meta text,
        limited boolean
    )
    language plpgsql
    set enable_seqscan = off
    set enable_hashjoin = off
    set enable_mergejoin = off
    set enable_bitmapscan = off
    set enable_sort = off
    set enable_incremental_sort = off
    set jit = off
    set plan_cache_mode = force_generic_plan
as $body$
#variable_conflict use_column
declare
    c_many constant integer := 9;
    c_costly constant integer := 150;  -- blocks of the table that one look has read
    v_queue text;
    v_priority integer;
    v_first bigint;
    v_several boolean;
    v_locked text;
    v_gated boolean;
    v_shut text[];
    v_limited text[];
    v_queues text[];
    v_locked_queues text[];
    v_open text[];
    v_rooms bigint[];
    v_heads bigint[];
    v_ids bigint[];
    v_read bigint;
    v_setting text;
begin
    if p_max_jobs is null or p_max_jobs < 1 then
        raise exception 'queue_tasks_fetch_jobs_v1: max_jobs is %, expected 1 or more', coalesce(p_max_jobs::text, 'null') using errcode = 'QT001';
    end if;

    if current_setting('queue_tasks.place', true) <> '' then
        v_ids := queue_tasks_take_from_place_v1(
            p_queues,
            array(select q.queue_name from queue_tasks_queues q where q.paused_until > clock_timestamp() or q.concurrency is not null),
            p_max_jobs
        );
    end if;
    v_read := pg_stat_get_xact_blocks_fetched('procrastinate_jobs'::regclass);
    if v_ids is null and p_queues is null then
        -- The first queue that has ready jobs, its first job, and whether there is anything else.
        select
            f.queue_name,
            f.priority,
            f.id,
            (
                select j.id from procrastinate_jobs j
                where j.queue_name > f.queue_name and j.status = 'todo' and j.scheduled_at is null and j.lock is null
                order by j.queue_name, j.priority desc, j.id limit 1
            ) is not null,
            (
                select j.queue_name from procrastinate_jobs j
                where j.status = 'todo' and j.scheduled_at is null and j.lock is not null
                order by j.queue_name, j.priority desc, j.id limit 1
            ),
            exists (select from queue_tasks_queues q where q.paused_until > clock_timestamp() or q.concurrency is not null)
        into v_queue, v_priority, v_first, v_several, v_locked, v_gated
        from (select) o
        left join lateral (
            select j.queue_name, j.priority, j.id from procrastinate_jobs j
            where j.status = 'todo' and j.scheduled_at is null and j.lock is null
            order by j.queue_name, j.priority desc, j.id limit 1
        ) f on true;
    end if;

    -- More is to be seen; or it was costly to look, so that the place may be worth remembering.
    if v_ids is null
        and (v_several or v_locked is not null or v_gated or pg_stat_get_xact_blocks_fetched('procrastinate_jobs'::regclass) - v_read > c_costly) is not false
    then
        -- The gates in front of queues. Few have a row there, and fewer are shut. Looked at again when the jobs are taken.
        if v_gated is not false then
            select
                coalesce(array_agg(g.queue_name) filter (where g.paused), '{}'),
                coalesce(array_agg(g.queue_name) filter (where not g.paused and g.limited), '{}')
            into v_shut, v_limited
            from (
                select q.queue_name, coalesce(q.paused_until > clock_timestamp(), false) as paused, q.concurrency is not null as limited
                from queue_tasks_queues q
                where p_queues is null or q.queue_name = any (p_queues)
            ) g;
        else
            v_shut := '{}';
            v_limited := '{}';
        end if;

        -- With many queues the first jobs are first looked for where those of all queues stand in one line. What is paused is
        -- left out of the queues below.
        if not v_several then
            v_queues := array_remove(array[v_queue], null);
        elsif (cardinality(p_queues) >= c_many) is not true then
            v_queues := queue_tasks_ready_queues_v1(p_queues, c_many, v_queue, v_priority, v_first);
        end if;
        if cardinality(p_queues) >= c_many or cardinality(v_queues) = c_many then
            v_ids := queue_tasks_take_first_v1(p_queues, v_shut, v_limited, p_max_jobs);
            if v_ids is null then
                v_queues := queue_tasks_ready_queues_v1(p_queues, null, v_queue, v_priority, v_first);
            end if;
        end if;

        v_queue := null;
        if v_ids is null then
            -- Usually no job with a lock is ready.
            if p_queues is not null or v_locked is not null then
                v_locked_queues := queue_tasks_ready_locked_queues_v1(p_queues, v_locked);
            end if;
            if v_shut <> '{}' then
                v_queues := array(
                    select q.name from unnest(v_queues) with ordinality q (name, place) where q.name <> all (v_shut) order by q.place
                );
                v_locked_queues := nullif(array(select q.name from unnest(v_locked_queues) q (name) where q.name <> all (v_shut)), '{}');
            end if;

            -- Of the queues with a limit go on those that have room; their jobs without a lock are not taken by their lines,
            -- but counted out below.
            if v_limited && (v_queues || v_locked_queues) then
                select array_agg(h.queue_name), array_agg(h.room) into v_open, v_rooms
                from queue_tasks_hold_limits_v1(array(
                    select l.name from unnest(v_limited) l (name) where l.name = any (v_queues || v_locked_queues)
                )) h;
                v_queues := array(
                    select q.name from unnest(v_queues) with ordinality q (name, place) where q.name <> all (v_limited) order by q.place
                );
                v_locked_queues := nullif(array(
                    select q.name
                    from unnest(v_locked_queues) q (name)
                    where q.name <> all (v_limited) or q.name = any (v_open)
                ), '{}');
            end if;

            if v_locked_queues is not null then
                v_heads := queue_tasks_free_heads_v1(v_locked_queues, p_max_jobs);
            end if;
            if v_open is not null then
                v_heads := queue_tasks_take_limited_v1(v_open, v_rooms, v_heads, p_max_jobs);
            end if;

            if v_heads is not null or cardinality(v_queues) > 1 then
                v_ids := queue_tasks_take_merged_v1(v_queues, v_heads, p_max_jobs);
            elsif cardinality(v_queues) = 1 and pg_stat_get_xact_blocks_fetched('procrastinate_jobs'::regclass) - v_read <= c_costly then
                v_queue := v_queues[1];
            elsif cardinality(v_queues) = 1 then
                select array_agg(t.id) into v_ids
                from (
                    select j.id
                    from procrastinate_jobs j
                    where j.queue_name >= v_queues[1] and j.queue_name <= v_queues[1]
                        and j.status = 'todo' and j.scheduled_at is null and j.lock is null
                    order by j.queue_name, j.priority desc, j.id
                    limit p_max_jobs
                    for update skip locked
                ) t;
                v_read := pg_stat_get_xact_blocks_fetched('procrastinate_jobs'::regclass) - v_read;
                if v_locked_queues is null and v_ids is not null and v_read > 2 * c_costly + 8 * p_max_jobs then
                    perform queue_tasks_note_place_v1(v_queues[1], v_ids[1], statement_timestamp());
                end if;
            end if;
        end if;
    end if;

    if v_ids is null and v_queue is null then
        perform from procrastinate_workers w where w.id = p_worker_id;
    else
        -- What follows from it is written here: the trigger would compare all rows to find that they were started, which took
        -- a quarter of the time of a fetch of one job. The setting would last until the end of the transaction.
        v_setting := set_config('queue_tasks.fetching', 'on', true);
        return query
        with taken as (
            update procrastinate_jobs j
            set status = 'doing',
                worker_id = p_worker_id,
                -- Whatever a stranger has written into a row must fail that job, not this statement: the largest number
                -- there is begins anew, and a time that no program can read is none.
                qt_lease = j.qt_lease % 9223372036854775807 + 1,
                qt_started_at = case
                    when j.qt_started_at between '0002-01-01Z' and '9998-01-01Z' then j.qt_started_at
                    else statement_timestamp()
                end,
                qt_attempted_at = statement_timestamp()
            where j.id = any (coalesce(v_ids, array(
                    select f.id
                    from procrastinate_jobs f
                    where f.queue_name >= v_queue and f.queue_name <= v_queue
                        and f.status = 'todo' and f.scheduled_at is null and f.lock is null
                    order by f.queue_name, f.priority desc, f.id
                    limit p_max_jobs
                    for update skip locked
                )))
                -- Held until commit; and without waiting: who deletes the worker at this moment may be about to wait for these jobs.
                and exists (select from procrastinate_workers w where w.id = p_worker_id for key share skip locked)
                -- Once more: a queue may have been paused since its jobs were looked for, or been given a limit, and what was
                -- enqueued after that is not to run.
                and j.queue_name <> all (array(
                    select q.queue_name
                    from queue_tasks_queues q
                    where q.paused_until > clock_timestamp() or (q.concurrency is not null and (q.queue_name = any (v_limited)) is not true)
                ))
            returning
                j.id, j.qt_lease, j.queue_name::text, j.task_name::text, j.priority, j.lock, j.queueing_lock, j.args::text,
                j.attempts, j.qt_crashes,
                case when j.qt_enqueued_at between '0002-01-01Z' and '9998-01-01Z' then j.qt_enqueued_at end,
                j.qt_started_at, j.qt_attempted_at, j.qt_ephemeral, j.qt_errors::text, j.qt_meta::text,
                (j.queue_name = any (v_limited)) is true
        ),
        noted as (
            insert into procrastinate_events (job_id, type) select t.id, 'started' from taken t where not t.qt_ephemeral
        )
        select * from taken t order by t.priority desc, t.id;
        v_setting := set_config('queue_tasks.fetching', 'off', true);
        if found then
            return;
        end if;
        perform from procrastinate_workers w where w.id = p_worker_id for key share skip locked;
    end if;
    if not found then
        raise exception 'queue_tasks_fetch_jobs_v1: worker % is not registered', p_worker_id
            using errcode = 'QT002', hint = 'It was taken for dead and removed: register anew.';
    end if;
end
$body$;

comment on function queue_tasks_fetch_jobs_v1(bigint, text[], integer) is 'Take up to max_jobs ready jobs for one worker, highest priority first, then oldest.';

-- from sql/functions/queue_tasks_finish_jobs_v1.sql
-- queue_tasks_finish_jobs_v1(worker_id bigint, ids bigint[], leases bigint[], outcomes text[], ...) -> the rows written
-- Write how the attempts of many jobs ended. Only rows still running under the given worker and lease are changed; an
-- id that does not come back was lost: the job had been given to another, or is gone.
-- outcomes:    succeeded, failed, aborted, retried, snoozed, released
-- results:     JSON texts, null but for succeeded
-- errors:      JSON objects as text: exception, message, traceback, place, fingerprint, attempt, worker_id; null but for failed, aborted, retried
-- started_ago: seconds before this statement at which the attempt started; null: it never started
-- ended_ago:   seconds before this statement at which the attempt ended
-- waits:       seconds from now until the job is ready again (retried, snoozed); 0 or null: at once
-- untils:      the time at which it is, in place of a wait; by this database's clock, whatever the worker's says
-- keeps:       seconds the finished row stays; null: for ever; 0: delete a succeeded job at once
-- priorities, queue_names, locks: what a retry changes; null: as before
-- A waiting abort request turns retried, snoozed and released into aborted.
-- Called by  queries/finish_jobs.sql
-- Writes     procrastinate_jobs
-- Locks      the rows changed, by id, then the queueing locks of those that come back, until commit
-- Index      procrastinate_jobs_pkey
--
-- The planner is held to one plan: the rows by their ids, then a hash join. It would rather walk all running jobs of the
-- worker and compare each with each outcome; "is not distinct from" keeps it from that index. The memory is as much as the
-- outcomes need, of which the caller has them in his: a hash join short of memory goes through its rows in parts, and so
-- not by id. The plan is for any outcomes, and kept: for one job Postgres 15 would make another at each call, which takes as
-- long as to write it.
create or replace function queue_tasks_finish_jobs_v1(
    p_worker_id bigint,
    p_ids bigint[],
    p_leases bigint[],
    p_outcomes text[],
    p_results text[],
    p_errors text[],
    p_started_ago double precision[],
    p_ended_ago double precision[],
    p_waits double precision[],
    p_untils timestamp with time zone[],
    p_keeps double precision[],
    p_priorities integer[],
    p_queue_names text[],
    p_locks text[]
) returns table (id bigint, status text)
    language plpgsql
    set enable_seqscan = off
    set enable_nestloop = off
    set enable_mergejoin = off
    set enable_bitmapscan = off
    set enable_hashjoin = on
    set work_mem = '1GB'
    set jit = off
    set plan_cache_mode = force_generic_plan
as $body$
#variable_conflict use_column
declare
    v_two_ways boolean;
    v_come_back boolean := false;
    v_back bigint[];
    v_queueing_locks text[];
begin
    -- One part of the rows is deleted, the other changed; or rows are to be locked before queueing locks.
    v_two_ways := cardinality(p_ids) > 1
        and 0 = any (p_keeps)
        and (0 = all (p_keeps) and 'succeeded' = all (p_outcomes)) is not true;
    if p_outcomes && array['retried', 'snoozed', 'released'] then
        v_come_back := exists (
            select
            from procrastinate_jobs j
            where j.id = any (array(
                select o.id
                from unnest(p_ids, p_outcomes) o (id, outcome)
                where o.outcome = any (array['retried', 'snoozed', 'released'])
            )) and j.queueing_lock is not null
        );
    end if;
    if v_two_ways or v_come_back then
        perform
        from procrastinate_jobs j
        where j.id = any (p_ids) and j.status = 'doing' and j.worker_id is not distinct from p_worker_id
        order by j.id
        for update;
    end if;
    if v_come_back then
        select array_agg(j.id), array_agg(j.queueing_lock) into v_back, v_queueing_locks
        from procrastinate_jobs j
        join unnest(p_ids, p_leases, p_outcomes) o (id, lease, outcome) on o.id = j.id
        where j.id = any (p_ids) and o.outcome = any (array['retried', 'snoozed', 'released'])
            and j.status = 'doing' and j.worker_id is not distinct from p_worker_id and j.qt_lease = o.lease
            and not j.abort_requested and j.queueing_lock is not null;
    end if;

    return query
    with outcome as materialized (
        select
            o.id, o.lease, o.outcome, o.result, o.error, o.keep, o.priority, o.queue_name, o.lock,
            -- Whether the job ends; else it goes back into the line, unless its abort was asked for meanwhile.
            o.outcome = any (array['succeeded', 'failed', 'aborted']) as ends,
            o.outcome = 'succeeded' and o.keep is not distinct from 0 as vanishes,
            statement_timestamp() - make_interval(secs => o.started_ago) as started_at,
            statement_timestamp() - make_interval(secs => o.ended_ago) as ended_at,
            case
                when o.until > statement_timestamp() then o.until
                when o.until is null and o.wait > 0 then statement_timestamp() + make_interval(secs => o.wait)
            end as wait_until
        from unnest(
            p_ids, p_leases, p_outcomes, p_results, p_errors, p_started_ago, p_ended_ago, p_waits, p_untils, p_keeps,
            p_priorities, p_queue_names, p_locks
        ) o (id, lease, outcome, result, error, started_ago, ended_ago, wait, until, keep, priority, queue_name, lock)
        -- Rows are locked in the order of their ids, as everywhere: two statements that meet wait, and do not deadlock.
        order by o.id
    ),
    deleted as (
        delete from procrastinate_jobs j
        using outcome o
        where j.id = any (p_ids) and j.id = o.id
            and j.status = 'doing' and j.worker_id is not distinct from p_worker_id and j.qt_lease = o.lease and o.vanishes
        returning j.id
    ),
    changed as (
        update procrastinate_jobs j
        set status = case
                when o.ends then o.outcome::procrastinate_job_status
                when j.abort_requested then 'aborted'
                else 'todo'
            end,
            abort_requested = false,
            -- The largest number there is stays what it is.
            attempts = least(j.attempts, 2147483646) + case when o.outcome = any (array['snoozed', 'released']) then 0 else 1 end,
            scheduled_at = case when not o.ends and not j.abort_requested then o.wait_until end,
            priority = coalesce(o.priority, j.priority),
            queue_name = coalesce(o.queue_name, j.queue_name),
            lock = coalesce(o.lock, j.lock),
            queueing_lock = case when o.ends or j.abort_requested then j.queueing_lock end,
            worker_id = case when o.outcome = 'released' then null else j.worker_id end,
            qt_started_at = case
                when o.outcome = 'released' and j.attempts = 0 then null
                when o.started_at is not null and j.attempts = 0 then o.started_at
                else j.qt_started_at
            end,
            qt_attempted_at = coalesce(o.started_at, j.qt_attempted_at),
            qt_finished_at = case when o.ends or j.abort_requested then coalesce(o.ended_at, statement_timestamp()) end,
            -- Failed jobs are always kept.
            qt_expires_at = case
                when o.outcome = 'succeeded' or o.outcome = 'aborted' or (not o.ends and j.abort_requested)
                then statement_timestamp() + make_interval(secs => o.keep)
            end,
            qt_result = o.result::jsonb,
            -- The newest hundred errors: a job retried for ever must not grow for ever.
            qt_errors = case
                when o.error is null then j.qt_errors
                else case
                    when jsonb_typeof(j.qt_errors) is distinct from 'array' then '[]'::jsonb
                    when jsonb_array_length(j.qt_errors) >= 100 then j.qt_errors - 0
                    else j.qt_errors
                end || (o.error::jsonb || jsonb_build_object('started_at', o.started_at, 'finished_at', o.ended_at))
            end
        from outcome o
        where j.id = any (p_ids) and j.id = o.id
            and j.status = 'doing' and j.worker_id is not distinct from p_worker_id and j.qt_lease = o.lease and not o.vanishes
        returning j.id, j.status
    )
    select d.id, 'succeeded'::text from deleted d
    union all
    select c.id, c.status::text from changed c;
    if v_back is not null then
        perform queue_tasks_take_queueing_locks_v1(v_back, v_queueing_locks);
    end if;
end
$body$;

comment on function queue_tasks_finish_jobs_v1(bigint, bigint[], bigint[], text[], text[], text[], double precision[], double precision[], double precision[], timestamp with time zone[], double precision[], integer[], text[], text[]) is 'Write the outcomes of many attempts under their fence; returns the rows written.';

-- from sql/functions/queue_tasks_fire_schedule_v1.sql
-- queue_tasks_fire_schedule_v1(id, revision, last_tick, ticks, passed, passed_tick, last, following, spread) -> one row for each tick: tick timestamptz, outcome text, job_id bigint
-- See to the ticks of a schedule up to `last`, in one transaction: enqueue a job for each of `ticks` (oldest first), note
-- those passed over, and go on to `following`. Nothing happens, and no row comes back, when somebody else has seen to
-- them, is at it, or has changed the schedule since it was read: (revision, last_tick) says so. A tick that is in the
-- history already makes no second job, even where last_tick was put back by hand. spread: seconds between the starts of
-- several jobs.
-- Called by  queries/fire_schedule.sql
-- Writes     procrastinate_jobs, queue_tasks_ticks, queue_tasks_schedules
-- Locks      the schedule, for update skip locked, until commit
create or replace function queue_tasks_fire_schedule_v1(
    p_id bigint,
    p_revision bigint,
    p_last_tick timestamp with time zone,
    p_ticks timestamp with time zone[],
    p_passed integer,
    p_passed_tick timestamp with time zone,
    p_last timestamp with time zone,
    p_following timestamp with time zone,
    p_spread double precision
) returns table (tick timestamp with time zone, outcome text, job_id bigint)
    language plpgsql
as $body$
#variable_conflict use_column
declare
    v_schedule record;
    v_now timestamp with time zone := clock_timestamp();
    v_new timestamp with time zone[];
    v_ticks timestamp with time zone[];
    v_busy boolean;
    v_job_id bigint;
begin
    select s.overlap, s.jitter, s.last_job_id into v_schedule
    from queue_tasks_schedules s
    where s.id = p_id and s.revision = p_revision and s.last_tick = p_last_tick and s.paused_at is null and s.gone_at is null
    for update skip locked;
    -- A tick is due by the database's clock or not at all.
    if not found or p_last > v_now then
        return;
    end if;

    v_new := array(
        select t.tick
        from unnest(p_ticks) with ordinality t (tick, position)
        where not exists (select from queue_tasks_ticks n where n.schedule_id = p_id and n.tick = t.tick)
        order by t.position
    );
    v_busy := v_schedule.overlap = 'skip' and exists (
        select
        from procrastinate_jobs j
        where j.id = v_schedule.last_job_id and j.status = any (array['todo', 'doing']::procrastinate_job_status[])
    );
    -- Where jobs may not overlap, the first of several ticks makes the one job.
    v_ticks := case when v_busy then '{}' when v_schedule.overlap = 'skip' then v_new[1:1] else v_new end;

    if p_passed > 0 then
        insert into queue_tasks_ticks (schedule_id, tick, outcome, passed)
        values (p_id, p_passed_tick, 'missed', p_passed)
        on conflict do nothing;
    end if;
    insert into queue_tasks_ticks (schedule_id, tick, outcome)
    select p_id, t.tick, 'overlap'
    from unnest(v_new[cardinality(v_ticks) + 1:]) t (tick);
    insert into queue_tasks_ticks (schedule_id, tick, outcome, job_id)
    select p_id, j.tick, 'enqueued', j.job_id
    from queue_tasks_enqueue_ticks_v1(
        p_id,
        v_ticks,
        array(
            select
                greatest(t.tick + make_interval(secs => random() * v_schedule.jitter), v_now)
                    + make_interval(secs => (t.position - 1) * p_spread)
            from unnest(v_ticks) with ordinality t (tick, position)
            order by t.position
        )
    ) j;

    select max(n.job_id) into v_job_id from queue_tasks_ticks n where n.schedule_id = p_id and n.tick = any (v_ticks);
    update queue_tasks_schedules s
    set last_tick = p_last, next_tick = p_following, last_job_id = coalesce(v_job_id, s.last_job_id)
    where s.id = p_id;
    delete from queue_tasks_ticks n
    where n.schedule_id = p_id
        and n.tick < (select k.tick from queue_tasks_ticks k where k.schedule_id = p_id order by k.tick desc offset 99 limit 1);

    return query
    select n.tick, n.outcome, n.job_id
    from queue_tasks_ticks n
    where n.schedule_id = p_id and (n.tick = any (p_ticks) or (p_passed > 0 and n.tick = p_passed_tick))
    order by n.tick;
end
$body$;

comment on function queue_tasks_fire_schedule_v1(bigint, bigint, timestamp with time zone, timestamp with time zone[], integer, timestamp with time zone, timestamp with time zone, timestamp with time zone, double precision) is 'See to the ticks of a schedule: one job for each, once.';

-- from sql/functions/queue_tasks_follow_v1.sql
-- queue_tasks_follow_v1() -> void
-- Say that this session wants to hear what becomes of jobs: from now on, until it ends, their ends, progress and due times are told of.
-- For a session that listens; told is what other sessions do. It holds an advisory lock and no row: whoever dies follows no more, it
-- is seen in every isolation level at once, and who may only read may follow.
-- Called by  queries/follow.sql; whoever listens to queue_tasks_finished, queue_tasks_progress or queue_tasks_scheduled
-- Locks      an advisory lock of the session, shared by all who follow
--
-- A transaction that found nobody before, and is not over yet, tells nobody. Who must miss nothing lists those that write jobs after
-- this (queries/list_writers.sql), and looks once more when they have ended.
create or replace function queue_tasks_follow_v1() returns void
    language sql
as $body$
    select pg_advisory_lock_shared(29046, 0)
$body$;

comment on function queue_tasks_follow_v1() is 'Say that this session wants to hear what becomes of jobs.';

-- from sql/functions/queue_tasks_free_heads_v1.sql
-- queue_tasks_free_heads_v1(queues text[], max_jobs integer) -> bigint[], in any order; null: there is none
-- Of jobs with a lock those that may start: each is the head of its lock's line, whatever that line's queues, while nobody
-- holds the lock. Of each queue the first max_jobs at least, if there are so many. Nothing is locked: it may have changed.
-- queues: names of those that have such jobs, each once
-- Called by  queue_tasks_fetch_jobs_v1, by whose settings it is planned
-- Index      procrastinate_jobs_qt_ready_locked_idx, procrastinate_jobs_qt_locked_idx, procrastinate_jobs_lock_idx_v1
--
-- Looked for among the first of each queue; if all of those wait behind a few busy locks, at the head of each lock; and only
-- if the locks are many too, among all.
create or replace function queue_tasks_free_heads_v1(p_queues text[], p_max_jobs integer) returns bigint[]
    language plpgsql
as $body$
declare
    v_window integer;
    v_heads bigint[];
    v_seen integer;
begin
    -- Where jobs wait behind busy locks, mostly all of them do.
    if not queue_tasks_some_lock_free_v1() then
        return null;
    end if;
    foreach v_window in array array[greatest(100, 2 * p_max_jobs), null] loop
        with busy as materialized (
            select j.lock from procrastinate_jobs j where j.status = 'doing' and j.lock is not null
        )
        select array_agg(c.id) into v_heads
        from unnest(p_queues) q (name)
        cross join lateral (
            select w.id
            from (
                select j.id, j.lock, j.priority, j.queue_name
                from procrastinate_jobs j
                where j.queue_name >= q.name and j.queue_name <= q.name
                    and j.status = 'todo' and j.scheduled_at is null and j.lock is not null
                order by j.queue_name, j.priority desc, j.id
                limit v_window
            ) w
            where w.lock not in (select b.lock from busy b)
                and w.id = (
                    select o.id
                    from procrastinate_jobs o
                    where o.lock >= w.lock and o.lock <= w.lock and o.status = 'todo' and o.scheduled_at is null
                    order by o.lock, o.priority desc, o.id
                    limit 1
                )
            order by w.queue_name, w.priority desc, w.id
            limit p_max_jobs
        ) c;
        exit when v_heads is not null or v_window is null;

        -- What comes first behind a lock, in the index's order, is the head of the next lock.
        with recursive head (lock, id, queue_name) as (
            (
                select j.lock, j.id, j.queue_name
                from procrastinate_jobs j
                where j.lock is not null and j.status = 'todo' and j.scheduled_at is null
                order by j.lock, j.priority desc, j.id
                limit 1
            )
            union all
            select n.lock, n.id, n.queue_name
            from head h
            cross join lateral (
                select j.lock, j.id, j.queue_name
                from procrastinate_jobs j
                where j.lock > h.lock and j.status = 'todo' and j.scheduled_at is null
                order by j.lock, j.priority desc, j.id
                limit 1
            ) n
        ),
        busy as materialized (
            select j.lock from procrastinate_jobs j where j.status = 'doing' and j.lock is not null
        )
        select
            array_agg(v.id) filter (where v.queue_name = any (p_queues) and v.lock not in (select b.lock from busy b)),
            count(*)
        into v_heads, v_seen
        from (select h.lock, h.id, h.queue_name from head h limit 1000) v;
        exit when v_heads is not null or v_seen < 1000;
    end loop;
    return v_heads;
end
$body$;

comment on function queue_tasks_free_heads_v1(text[], integer) is 'Of jobs with a lock those that may start.';

-- from sql/functions/queue_tasks_hold_limits_v1.sql
-- queue_tasks_hold_limits_v1(queues text[]) -> rows: queue_name text, room bigint; only queues that have room
-- How many jobs of these queues, which have a limit, may be started now. Until commit nobody else can start any: whoever
-- wants to holds the queue's row, and counts after that. A queue that is full is not waited for, nor one whose row somebody
-- keeps for a tenth of a second: the end of a job, and every change of the row, wakes workers to look again.
-- Called by  queue_tasks_fetch_jobs_v1
-- Locks      the rows of the queues that seem to have room, for no key update, by name, until commit
create or replace function queue_tasks_hold_limits_v1(p_queues text[])
    returns table (queue_name text, room bigint)
    language plpgsql
    set lock_timeout = '100ms'
as $body$
#variable_conflict use_column
declare
    v_open text[];
    v_held text[];
    v_queue text;
begin
    select array_agg(q.queue_name order by q.queue_name) into v_open
    from queue_tasks_queues q
    join queue_tasks_count_running_v1(p_queues) c on c.queue_name = q.queue_name
    where c.running < q.concurrency;

    -- By name, so that two fetches which want several never wait for each other.
    foreach v_queue in array coalesce(v_open, '{}') loop
        perform from queue_tasks_queues q where q.queue_name = v_queue for no key update skip locked;
        if not found then
            -- Somebody fetches from it, which takes no longer than this takes us; or changes it, for as long as he likes.
            begin
                perform from queue_tasks_queues q where q.queue_name = v_queue for no key update;
            exception when lock_not_available then
                continue;
            end;
        end if;
        v_held := v_held || v_queue;
    end loop;

    return query
    select q.queue_name, q.concurrency - c.running
    from queue_tasks_queues q
    join queue_tasks_count_running_v1(v_held) c on c.queue_name = q.queue_name
    where c.running < q.concurrency and (q.paused_until > clock_timestamp()) is not true
    order by q.queue_name;
end
$body$;

comment on function queue_tasks_hold_limits_v1(text[]) is 'How many jobs of queues with a limit may be started now; nobody else can until commit.';

-- from sql/functions/queue_tasks_is_due_before_v1.sql
-- queue_tasks_is_due_before_v1(first timestamptz, id bigint) -> boolean
-- Whether a job is due before jobs that were scheduled now, of which the first is due then; id: the least of theirs, null: of
-- jobs that were there before. Every worker wakes for it, and looks for the next. It is not one that is due so soon that it
-- may come before this transaction can be seen. A longer one whose job is due at once waits for a worker's poll.
-- Called by  queue_tasks_tell_scheduled_v1
-- Index      procrastinate_jobs_qt_scheduled_idx: from now on, not from its beginning, where the entries of promoted jobs are
create or replace function queue_tasks_is_due_before_v1(p_first timestamp with time zone, p_id bigint) returns boolean
    language plpgsql
    set enable_seqscan = off
    set enable_bitmapscan = off
    set enable_sort = off
as $body$
declare
    -- A volatile function is no bound for an index.
    v_soon timestamp with time zone := clock_timestamp() + interval '1 second';
begin
    -- A producer may read no job; in one expression with the question he would be refused.
    if not has_column_privilege('procrastinate_jobs', 'scheduled_at', 'select') then
        return false;
    end if;
    return exists (
        select
        from procrastinate_jobs j
        where j.status = 'todo' and j.scheduled_at > v_soon and j.scheduled_at <= p_first
            and (j.scheduled_at < p_first or j.id < p_id)
    );
end
$body$;

comment on function queue_tasks_is_due_before_v1(timestamp with time zone, bigint) is 'Whether a job is due before jobs that were scheduled now.';

-- from sql/functions/queue_tasks_is_followed_v1.sql
-- queue_tasks_is_followed_v1() -> boolean
-- Whether a session wants to hear what becomes of jobs, another than this one. Two that ask at the same moment may take each other for one that does.
-- Called by  queue_tasks_tell_finished_v1, queue_tasks_tell_scheduled_v1, queries/progress_jobs.sql
-- Locks      the lock of those who follow, where it is free, and gives it back at once
--
-- NOTIFY takes one lock of the whole server when it commits, and holds it until the log is flushed: whoever ends a job would commit
-- after all others who do. To ask takes a microsecond.
create or replace function queue_tasks_is_followed_v1() returns boolean
    language sql
as $body$
    -- One expression: nothing can interrupt a session between the two. It becomes a part of the caller's.
    select case when pg_try_advisory_lock(29046, 0) then not pg_advisory_unlock(29046, 0) else true end
$body$;

comment on function queue_tasks_is_followed_v1() is 'Whether a session wants to hear what becomes of jobs.';

-- from sql/functions/queue_tasks_is_not_fetching_v1.sql
-- queue_tasks_is_not_fetching_v1() -> boolean: false within a fetch, which writes its own events
-- Who may not change jobs, as a producer, may say that he fetches as he likes: he does not.
-- A function, and of this sense, so that the conditions of the triggers are short: Postgres reads them from their text in each
-- statement, and with this in one that took 5 us of a single enqueue. For each event of a fetch a call costs 0.2 us.
-- Called by  procrastinate_events_qt_inserted and procrastinate_jobs_qt_updated, in their conditions
create or replace function queue_tasks_is_not_fetching_v1() returns boolean
    language plpgsql stable
as $body$
begin
    return current_setting('queue_tasks.fetching', true) is distinct from 'on'
        or not has_table_privilege('procrastinate_jobs'::regclass, 'update');
end
$body$;

comment on function queue_tasks_is_not_fetching_v1() is 'Whether the session is not within a fetch, which writes its own events.';

-- from sql/functions/queue_tasks_look_v1.sql
-- queue_tasks_look_v1(worker_id, queues) -> one row: ready, due, ticks, lost, expired, booleans; next_due_at double precision
-- What a worker that has nothing to do could find to do, in one look.
-- queues:  names that it works; null: all
-- ready:   whether some job is ready in its queues; it may be held back by a pause, a lock or a limit
-- due:     whether the time of some scheduled job has come
-- ticks:   whether some schedule has ticked, or its next tick is to be found
-- lost:    whether some job runs under no worker, or under this one, which has none in hand
-- expired: whether the time of some finished job to be kept is over
-- next_due_at: when the next scheduled job is due that is not due yet, in seconds since 1970; null: none is scheduled
-- Called by  queries/look_around.sql
-- Index      procrastinate_jobs_qt_ready_idx, procrastinate_jobs_qt_ready_locked_idx, procrastinate_jobs_qt_scheduled_idx,
--            procrastinate_jobs_qt_unowned_idx, idx_procrastinate_jobs_worker_not_null, procrastinate_jobs_qt_expires_idx
create or replace function queue_tasks_look_v1(p_worker_id bigint, p_queues text[])
    returns table (ready boolean, due boolean, ticks boolean, lost boolean, expired boolean, next_due_at double precision)
    language plpgsql
    stable
    set enable_seqscan = off
    set enable_bitmapscan = off
    set enable_sort = off
    set enable_hashjoin = off
    set enable_mergejoin = off
    set jit = off
as $body$
declare
    -- A volatile function is no bound for an index.
    v_now timestamp with time zone := clock_timestamp();
begin
    -- In the order of the index that is meant: there are others that a planner might walk along.
    if p_queues is null then
        ready := (
            select j.id from procrastinate_jobs j
            where j.status = 'todo' and j.scheduled_at is null and j.lock is null
            order by j.queue_name, j.priority desc, j.id limit 1
        ) is not null or (
            select j.id from procrastinate_jobs j
            where j.status = 'todo' and j.scheduled_at is null and j.lock is not null
            order by j.queue_name, j.priority desc, j.id limit 1
        ) is not null;
    else
        ready := exists (
            select
            from unnest(p_queues) q (name)
            where (
                select j.id from procrastinate_jobs j
                where j.queue_name >= q.name and j.queue_name <= q.name
                    and j.status = 'todo' and j.scheduled_at is null and j.lock is null
                order by j.queue_name, j.priority desc, j.id limit 1
            ) is not null or (
                select j.id from procrastinate_jobs j
                where j.queue_name >= q.name and j.queue_name <= q.name
                    and j.status = 'todo' and j.scheduled_at is null and j.lock is not null
                order by j.queue_name, j.priority desc, j.id limit 1
            ) is not null
        );
    end if;
    due := exists (
        select from procrastinate_jobs j
        where j.status = 'todo' and j.scheduled_at is not null and j.scheduled_at <= v_now
    );
    next_due_at := (
        select date_part('epoch', j.scheduled_at) from procrastinate_jobs j
        where j.status = 'todo' and j.scheduled_at > v_now and j.scheduled_at < queue_tasks_parked_until_v1()
        order by j.scheduled_at limit 1
    );
    ticks := exists (
        select from queue_tasks_schedules s
        where s.paused_at is null and s.gone_at is null and (s.next_tick is null or s.next_tick <= v_now)
    );
    lost := exists (
        select from procrastinate_jobs j where j.status = 'doing' and j.worker_id is null
    ) or exists (
        select from procrastinate_jobs j where j.status = 'doing' and j.worker_id = p_worker_id
    );
    expired := exists (
        select from procrastinate_jobs j
        where j.qt_expires_at <= v_now
            and j.status = any (array['succeeded', 'cancelled', 'aborted']::procrastinate_job_status[])
    );
    return next;
end
$body$;

comment on function queue_tasks_look_v1(bigint, text[]) is 'What a worker that has nothing to do could find to do.';

-- from sql/functions/queue_tasks_note_place_v1.sql
-- queue_tasks_note_place_v1(queue text, first bigint, began timestamp with time zone) -> void
-- Remember, for this session, where a costly look found its first job, for fifty times as long as it took and at most two
-- seconds: see queue_tasks_fetch_jobs_v1.
-- queue: the one looked into. first: the job. began: when the look did.
-- Called by  queue_tasks_fetch_jobs_v1
create or replace function queue_tasks_note_place_v1(p_queue text, p_first bigint, p_began timestamp with time zone) returns void
    language plpgsql
as $body$
begin
    perform set_config('queue_tasks.place', jsonb_build_object(
        'until', clock_timestamp() + least(50 * (clock_timestamp() - p_began), interval '2 seconds'),
        'queue', p_queue,
        'priority', (select j.priority from procrastinate_jobs j where j.id = p_first),
        'id', p_first,
        'newest', (select s.last_value from procrastinate_jobs_id_seq s)
    )::text, false);
end
$body$;

comment on function queue_tasks_note_place_v1(text, bigint, timestamp with time zone) is 'Remember where a costly look found its first job.';

-- from sql/functions/queue_tasks_promote_jobs_v1.sql
-- queue_tasks_promote_jobs_v1(max_jobs integer) -> one row: promoted integer, next_due_in, next_due_at double precision
-- Make ready up to max_jobs scheduled jobs whose time has come, earliest first. next_due_in: seconds until the next one
-- is due, 0 when more may be due already, null when none is scheduled. next_due_at: when that is, in seconds since 1970, as
-- queue_tasks_look_v1 says it. Parked jobs are left alone.
-- Called by  queries/promote_jobs.sql
-- Writes     procrastinate_jobs (scheduled_at)
-- Locks      the rows promoted, for update skip locked, until commit
-- Index      procrastinate_jobs_qt_scheduled_idx
create or replace function queue_tasks_promote_jobs_v1(p_max_jobs integer)
    returns table (promoted integer, next_due_in double precision, next_due_at double precision)
    language plpgsql
    set enable_seqscan = off
    set enable_hashjoin = off
    set enable_mergejoin = off
    set enable_bitmapscan = off
    set jit = off
as $body$
declare
    -- A volatile function is no bound for an index: with the time in a variable the scan ends at the first job not due.
    v_now timestamp with time zone := clock_timestamp();
begin
    with due as materialized (
        select j.id
        from procrastinate_jobs j
        where j.status = 'todo' and j.scheduled_at <= v_now
        order by j.scheduled_at
        limit p_max_jobs
        for update skip locked
    )
    update procrastinate_jobs j
    set scheduled_at = null
    where j.id = any (array(select d.id from due d));
    get diagnostics promoted = row_count;
    if promoted = p_max_jobs then
        next_due_in := 0;
    else
        -- Rows due already are being promoted by another worker at this moment: not ours to wait for.
        select
            greatest(extract(epoch from j.scheduled_at - clock_timestamp()), 0),
            date_part('epoch', j.scheduled_at)
        into next_due_in, next_due_at
        from procrastinate_jobs j
        where j.status = 'todo' and j.scheduled_at > v_now and j.scheduled_at < queue_tasks_parked_until_v1()
        order by j.scheduled_at
        limit 1;
    end if;
    return next;
end
$body$;

comment on function queue_tasks_promote_jobs_v1(integer) is 'Make ready the scheduled jobs whose time has come.';

-- from sql/functions/queue_tasks_prune_jobs_v1.sql
-- queue_tasks_prune_jobs_v1(max_jobs integer) -> integer
-- Delete up to max_jobs finished jobs whose time to be kept is over, and their events. Returns how many: ask again
-- while it is max_jobs. Small chunks keep each transaction, and what it holds back from vacuum, short.
-- Called by  queries/prune_jobs.sql
-- Writes     procrastinate_jobs, procrastinate_events (by trigger)
-- Locks      the rows deleted, for update skip locked, until commit
-- Index      procrastinate_jobs_qt_expires_idx
create or replace function queue_tasks_prune_jobs_v1(p_max_jobs integer) returns integer
    language plpgsql
    set enable_seqscan = off
    set enable_hashjoin = off
    set enable_mergejoin = off
    set enable_bitmapscan = off
    set jit = off
as $body$
declare
    v_deleted integer;
begin
    with expired as materialized (
        select j.id
        from procrastinate_jobs j
        where j.qt_expires_at <= statement_timestamp()
            and j.status = any (array['succeeded', 'cancelled', 'aborted']::procrastinate_job_status[])
        order by j.qt_expires_at
        limit p_max_jobs
        for update skip locked
    )
    delete from procrastinate_jobs j where j.id = any (array(select e.id from expired e));
    get diagnostics v_deleted = row_count;
    return v_deleted;
end
$body$;

comment on function queue_tasks_prune_jobs_v1(integer) is 'Delete finished jobs whose time to be kept is over.';

-- from sql/functions/queue_tasks_ready_locked_queues_v1.sql
-- queue_tasks_ready_locked_queues_v1(queues text[], first text) -> text[], in any order; null: there is none
-- The queues that have ready jobs with a lock, whether it is held or not. An index probe for each queue.
-- queues: names; null means every queue. first: of every queue, the first by name that has some; it comes back in any case.
-- Called by  queue_tasks_fetch_jobs_v1, by whose settings it is planned
-- Index      procrastinate_jobs_qt_ready_locked_idx
create or replace function queue_tasks_ready_locked_queues_v1(p_queues text[], p_first text) returns text[]
    language plpgsql
as $body$
declare
    v_second text;
begin
    if p_queues is not null then
        return (
            select array_agg(distinct q.name)
            from unnest(p_queues) q (name)
            where (
                select j.id from procrastinate_jobs j
                where j.queue_name >= q.name and j.queue_name <= q.name
                    and j.status = 'todo' and j.scheduled_at is null and j.lock is not null
                order by j.queue_name, j.priority desc, j.id limit 1
            ) is not null
        );
    end if;

    -- Mostly there is one, and to be told so costs a third of what it takes to list them.
    v_second := (
        select j.queue_name from procrastinate_jobs j
        where j.queue_name > p_first and j.status = 'todo' and j.scheduled_at is null and j.lock is not null
        order by j.queue_name, j.priority desc, j.id limit 1
    );
    if v_second is null then
        return array[p_first];
    end if;
    return (
        with recursive ready (queue_name) as (
            select v_second
            union all
            select (
                select j.queue_name::text from procrastinate_jobs j
                where j.queue_name > r.queue_name and j.status = 'todo' and j.scheduled_at is null and j.lock is not null
                order by j.queue_name, j.priority desc, j.id limit 1
            )
            from ready r
            where r.queue_name is not null
        )
        select array_agg(r.queue_name) || p_first from ready r where r.queue_name is not null
    );
end
$body$;

comment on function queue_tasks_ready_locked_queues_v1(text[], text) is 'The queues that have ready jobs with a lock.';

-- from sql/functions/queue_tasks_ready_queues_v1.sql
-- queue_tasks_ready_queues_v1(queues text[], most integer, first text, priority integer, id bigint) -> text[]; null: there is none
-- The queues that have ready jobs without a lock, in the order of their first jobs: the first n jobs of all are in the first
-- n of them. An index probe for each queue.
-- queues: names, of which one may come twice; null means every queue. most: of every queue, so many at the most; null: all.
-- first, priority, id: of every queue, the first by name, and its first job.
-- Called by  queue_tasks_fetch_jobs_v1, by whose settings it is planned
-- Index      procrastinate_jobs_qt_ready_idx
create or replace function queue_tasks_ready_queues_v1(
    p_queues text[],
    p_most integer,
    p_first text,
    p_priority integer,
    p_id bigint
) returns text[]
    language plpgsql
as $body$
begin
    if p_queues is not null then
        return (
            select array_agg(q.name order by f.priority desc, f.id)
            from (select distinct u.name from unnest(p_queues) u (name)) q
            cross join lateral (
                select j.priority, j.id from procrastinate_jobs j
                where j.queue_name >= q.name and j.queue_name <= q.name
                    and j.status = 'todo' and j.scheduled_at is null and j.lock is null
                order by j.queue_name, j.priority desc, j.id limit 1
            ) f
        );
    end if;

    return (
        with recursive ready (queue_name, priority, id) as (
            select p_first, p_priority, p_id
            union all
            select n.queue_name, n.priority, n.id
            from ready r
            cross join lateral (
                select j.queue_name::text, j.priority, j.id from procrastinate_jobs j
                where j.queue_name > r.queue_name and j.status = 'todo' and j.scheduled_at is null and j.lock is null
                order by j.queue_name, j.priority desc, j.id limit 1
            ) n
        )
        select array_agg(q.queue_name order by q.priority desc, q.id)
        from (select r.queue_name, r.priority, r.id from ready r limit p_most) q
    );
end
$body$;

comment on function queue_tasks_ready_queues_v1(text[], integer, text, integer, bigint) is 'The queues that have ready jobs without a lock, in the order of their first jobs.';

-- from sql/functions/queue_tasks_reclaim_jobs_v1.sql
-- queue_tasks_reclaim_jobs_v1(worker_id, in_hand, older_than, keep) -> id bigint; the jobs taken back
-- Take back jobs that are running under this worker but that it does not have in hand: the answer to the fetch that took
-- them was lost. They are ready again, or aborted if that was asked for.
-- older_than: seconds since the fetch; longer than a fetch can still be under way
-- keep:       seconds the row of an aborted job stays; null: for ever
-- Called by  queries/reclaim_jobs.sql
-- Writes     procrastinate_jobs
-- Locks      the rows changed, by id, then their queueing locks, until commit
-- Index      idx_procrastinate_jobs_worker_not_null
create or replace function queue_tasks_reclaim_jobs_v1(
    p_worker_id bigint,
    p_in_hand bigint[],
    p_older_than double precision,
    p_keep double precision
) returns table (id bigint)
    language plpgsql
    set enable_seqscan = off
    set jit = off
as $body$
#variable_conflict use_column
declare
    v_ids bigint[];
    v_back bigint[];
    v_queueing_locks text[];
begin
    select
        array_agg(h.id),
        array_agg(h.id) filter (where not h.abort_requested and h.queueing_lock is not null),
        array_agg(h.queueing_lock) filter (where not h.abort_requested and h.queueing_lock is not null)
    into v_ids, v_back, v_queueing_locks
    from (
        select j.id, j.queueing_lock, j.abort_requested
        from procrastinate_jobs j
        where j.worker_id = p_worker_id
            and j.status = 'doing'
            and j.id <> all (p_in_hand)
            and j.qt_attempted_at < clock_timestamp() - make_interval(secs => p_older_than)
        order by j.id
        for no key update
    ) h;
    if v_ids is null then
        return;
    end if;

    update procrastinate_jobs j
    set status = case when j.abort_requested then 'aborted' else 'todo' end::procrastinate_job_status,
        abort_requested = false,
        worker_id = null,
        queueing_lock = case when j.abort_requested then j.queueing_lock end,
        qt_started_at = case when j.attempts = 0 and not j.abort_requested then null else j.qt_started_at end,
        qt_finished_at = case when j.abort_requested then clock_timestamp() end,
        qt_expires_at = case when j.abort_requested then clock_timestamp() + make_interval(secs => p_keep) end
    where j.id = any (v_ids);
    perform queue_tasks_take_queueing_locks_v1(v_back, v_queueing_locks);
    return query select unnest(v_ids);
end
$body$;

comment on function queue_tasks_reclaim_jobs_v1(bigint, bigint[], double precision, double precision) is 'Take back jobs that are running under a worker that does not have them in hand.';

-- from sql/functions/queue_tasks_refuse_abort_v1.sql
-- queue_tasks_refuse_abort_v1() -> void; always raises
-- Keep the promise of upstream's check constraint: a job that waits has no abort request. Checked once a statement; Postgres reads a
-- constraint from its text in each statement, which was a seventeenth of what it does for an enqueue.
-- Called by  the triggers on procrastinate_jobs
-- Raises     23514 check_violation
create or replace function queue_tasks_refuse_abort_v1() returns void
    language plpgsql
as $body$
begin
    raise exception 'procrastinate_jobs.abort_requested: a job that waits (status todo) cannot be aborted'
        using
            errcode = 'check_violation',
            table = 'procrastinate_jobs',
            constraint = 'check_not_todo_abort_requested',
            hint = 'Cancel it; to abort is for a job that runs.';
end
$body$;

comment on function queue_tasks_refuse_abort_v1() is 'Refuse an abort request for a job that is not running.';

-- from sql/functions/queue_tasks_require_jobs_v1.sql
-- queue_tasks_require_jobs_v1(ids bigint[]) -> void; ids: each once
-- Keep the promise of the foreign keys that were from events and periodic defers to jobs: each id names a job, which is
-- not deleted until this transaction ends.
-- Called by  the triggers on procrastinate_events and procrastinate_periodic_defers
-- Locks      the jobs, by id, for key share, as the foreign keys did
-- Raises     23503 (foreign_key_violation) a job does not exist
create or replace function queue_tasks_require_jobs_v1(p_ids bigint[]) returns void
    language plpgsql
    set enable_seqscan = off
    set jit = off
as $body$
declare
    v_found bigint[];
begin
    select array_agg(j.id) into v_found
    from (select j.id from procrastinate_jobs j where j.id = any (p_ids) order by j.id for key share) j;
    if coalesce(cardinality(v_found), 0) < cardinality(p_ids) then
        raise exception 'job % does not exist in procrastinate_jobs',
            (select min(i.id) from unnest(p_ids) i (id) where v_found is null or i.id <> all (v_found))
            using errcode = 'foreign_key_violation';
    end if;
end
$body$;

comment on function queue_tasks_require_jobs_v1(bigint[]) is 'Refuse a reference to a job that does not exist.';

-- from sql/functions/queue_tasks_require_workers_v1.sql
-- queue_tasks_require_workers_v1(ids bigint[]) -> void; ids: each once
-- Keep the promise of the foreign key that was from jobs to workers: each id names a registered worker, which stays so
-- until this transaction ends. Checked once a statement instead of once a row.
-- Called by  the triggers on procrastinate_jobs
-- Locks      the workers, by id, for key share, as the foreign key did
-- Raises     23503 (foreign_key_violation) a worker is not registered
create or replace function queue_tasks_require_workers_v1(p_ids bigint[]) returns void
    language plpgsql
    set enable_seqscan = off
    set jit = off
as $body$
declare
    v_found bigint[];
begin
    select array_agg(w.id) into v_found
    from (select w.id from procrastinate_workers w where w.id = any (p_ids) order by w.id for key share) w;
    if coalesce(cardinality(v_found), 0) < cardinality(p_ids) then
        raise exception 'procrastinate_jobs.worker_id: worker % is not registered in procrastinate_workers',
            (select min(i.id) from unnest(p_ids) i (id) where v_found is null or i.id <> all (v_found))
            using errcode = 'foreign_key_violation';
    end if;
end
$body$;

comment on function queue_tasks_require_workers_v1(bigint[]) is 'Refuse a job whose worker is not registered.';

-- from sql/functions/queue_tasks_rescue_jobs_v1.sql
-- queue_tasks_rescue_jobs_v1(dead_after, silent_after, max_crashes, keep, max_jobs) -> 0..max_jobs rows: id, status, worker_id, crashes
-- Take back the running jobs of dead workers, and forget workers that have none left. No attempt is spent. A crash is
-- counted apart from attempts: the first for every job the worker had in hand, further ones only for a job whose body
-- was noted to have started. A job that reaches max_crashes so is a poison pill and fails; the others are ready again.
-- dead_after:   seconds; a worker silent for longer is dead, lock or not. The only rule for stock workers.
-- silent_after: seconds; a worker of ours silent for longer is dead if its advisory lock is free as well; without a job,
--               which makes it beat more seldom, after twice as long. If it took one since, that fetch is a sign of life too.
-- keep:         seconds the row of a job stays whose abort had been asked for; null: for ever
-- Called by  queries/rescue_jobs.sql
-- Writes     procrastinate_jobs, procrastinate_workers
-- Locks      the rows rescued, for update skip locked, then their queueing locks; the rows of workers forgotten, for update
--            skip locked; until commit
-- Index      idx_procrastinate_jobs_worker_not_null, procrastinate_jobs_qt_unowned_idx
--
-- One statement compares and swaps: a row is changed only while it is running under that worker. The worker itself
-- writes only under its number and its lease, so that one taken for dead too soon loses work, never correctness.
create or replace function queue_tasks_rescue_jobs_v1(
    p_dead_after double precision,
    p_silent_after double precision,
    p_max_crashes integer,
    p_keep double precision,
    p_max_jobs integer
) returns table (id bigint, status text, worker_id bigint, crashes integer)
    language plpgsql
    set enable_seqscan = off
    set enable_hashjoin = off
    set enable_mergejoin = off
    set jit = off
as $body$
#variable_conflict use_column
declare
    v_dead bigint[];
    v_gone bigint[];
    v_queueing_lock text;
    v_back bigint[];
    v_queueing_locks text[];
begin
    select coalesce(array_agg(w.id), '{}') into v_dead
    from procrastinate_workers w
    where w.last_heartbeat < clock_timestamp() - make_interval(secs => p_dead_after)
        or (
            w.qt_locked
            and w.last_heartbeat < clock_timestamp() - make_interval(secs => p_silent_after)
            and (
                w.qt_busy
                or (
                    (
                        w.last_heartbeat < clock_timestamp() - make_interval(secs => 2 * p_silent_after)
                        or exists (select from procrastinate_jobs j where j.worker_id = w.id and j.status = 'doing')
                    )
                    and not exists (
                        select from procrastinate_jobs j
                        where j.worker_id = w.id and j.status = 'doing'
                            and j.qt_attempted_at > clock_timestamp() - make_interval(secs => p_silent_after)
                            and j.qt_attempted_at <= clock_timestamp()
                    )
                )
            )
            -- Looked up, not tried: its worker could not take a lock that we hold for a moment.
            and not exists (
                select from pg_locks l
                where l.locktype = 'advisory' and l.objsubid = 1 and l.granted
                    and l.database = (select d.oid from pg_database d where d.datname = current_database())
                    and (l.classid::bigint << 32 | l.objid::bigint) = queue_tasks_worker_lock_v1(w.id)
            )
        );
    if v_dead = '{}' and not exists (select from procrastinate_jobs j where j.status = 'doing' and j.worker_id is null) then
        return;
    end if;

    for id, status, worker_id, crashes, v_queueing_lock in
    with stranded as materialized (
        select j.id from procrastinate_jobs j where j.status = 'doing' and j.worker_id = any (v_dead)
        union all
        select j.id from procrastinate_jobs j where j.status = 'doing' and j.worker_id is null
    ),
    taken as materialized (
        select
            j.id,
            j.worker_id,
            j.queueing_lock,
            j.abort_requested,
            case when j.qt_crashes = 0 or j.qt_started_lease = j.qt_lease then least(j.qt_crashes, 2147483646) + 1 else j.qt_crashes end as crashes,
            j.qt_crashes > 0 and j.qt_started_lease = j.qt_lease as ran
        from procrastinate_jobs j
        where j.id = any (array(select s.id from stranded s order by s.id limit p_max_jobs))
            and j.status = 'doing' and (j.worker_id is null or j.worker_id = any (v_dead))
        order by j.id
        for update skip locked
    ),
    verdict as materialized (
        select
            t.id,
            t.worker_id,
            t.queueing_lock,
            t.crashes,
            case
                when t.ran and t.crashes >= p_max_crashes then 'failed'
                when t.abort_requested then 'aborted'
                else 'todo'
            end as outcome
        from taken t
    ),
    rescued as (
        update procrastinate_jobs j
        set status = v.outcome::procrastinate_job_status,
            abort_requested = false,
            worker_id = null,
            scheduled_at = null,
            queueing_lock = case when v.outcome <> 'todo' then v.queueing_lock end,
            qt_crashes = v.crashes,
            qt_started_at = case when j.attempts = 0 and v.outcome = 'todo' then null else j.qt_started_at end,
            qt_finished_at = case when v.outcome <> 'todo' then clock_timestamp() end,
            qt_expires_at = case when v.outcome = 'aborted' then clock_timestamp() + make_interval(secs => p_keep) end,
            qt_errors = case
                when v.outcome = 'failed' then case
                    when jsonb_typeof(j.qt_errors) = 'array' then j.qt_errors else '[]'::jsonb
                end || jsonb_build_object(
                    'exception', 'queue_tasks.exceptions.WorkerCrashed',
                    'message', format('Its worker died %s times while it ran: it is not tried again.', v.crashes),
                    'traceback', format(
                        E'queue_tasks.exceptions.WorkerCrashed: Its worker died %s times while it ran: it is not tried again.\n',
                        v.crashes
                    ),
                    'place', j.task_name,
                    -- As frames.fingerprint has it.
                    'fingerprint', left(
                        encode(
                            sha256(convert_to(E'queue_tasks.exceptions.WorkerCrashed\n' || j.task_name, 'UTF8')), 'hex'
                        ),
                        12
                    ),
                    'attempt', j.attempts::bigint + 1,
                    'worker_id', v.worker_id,
                    'started_at', j.qt_attempted_at,
                    'finished_at', clock_timestamp()
                )
                else j.qt_errors
            end
        from verdict v
        where j.id = v.id
        returning j.id, j.status::text, v.worker_id, v.crashes, case when v.outcome = 'todo' then v.queueing_lock end as queueing_lock
    )
    select r.id, r.status, r.worker_id, r.crashes, r.queueing_lock from rescued r
    loop
        return next;
        if v_queueing_lock is not null then
            v_back := v_back || id;
            v_queueing_locks := v_queueing_locks || v_queueing_lock;
        end if;
    end loop;
    perform queue_tasks_take_queueing_locks_v1(v_back, v_queueing_locks);

    -- First held, without waiting: from then on it is given no jobs. Then looked at, so that nobody's jobs have to be
    -- waited for when it is deleted, while those rescued are held.
    select array_agg(h.id) into v_gone
    from (
        select w.id
        from procrastinate_workers w
        where w.id = any (v_dead)
            -- It may have beaten meanwhile; then its jobs are gone, and it goes on with others.
            and w.last_heartbeat < clock_timestamp() - make_interval(secs => least(p_dead_after, p_silent_after))
        order by w.id
        for update skip locked
    ) h;
    delete from procrastinate_workers w
    where w.id = any (v_gone)
        and not exists (select from procrastinate_jobs j where j.worker_id = w.id and j.status = 'doing');
end
$body$;

comment on function queue_tasks_rescue_jobs_v1(double precision, double precision, integer, double precision, integer) is 'Take back the running jobs of dead workers.';

-- from sql/functions/queue_tasks_retry_jobs_v1.sql
-- queue_tasks_retry_jobs_v1(ids bigint[], wait, args, lock) -> id bigint; the jobs that run once more
-- Make finished jobs ready to run once more. Errors and attempts stay: they are the job's history.
-- A scheduled job becomes ready now; running ones stay as they are.
-- wait:      seconds from now until they are ready; null: at once, and workers are woken
-- args:      what their tasks are given in place of what they were; null: that. Checked by the caller, as at enqueue
-- lock:      theirs in place of what it was, which the arguments may tell; null: that
-- Called by  queries/retry_jobs.sql
-- Writes     procrastinate_jobs
-- Locks      the rows changed, by id, then their queueing locks, until commit
-- Index      procrastinate_jobs_pkey
create or replace function queue_tasks_retry_jobs_v1(
    p_ids bigint[],
    p_wait double precision default null,
    p_args jsonb default null,
    p_lock text default null
) returns table (id bigint)
    language plpgsql
    set enable_seqscan = off
    set jit = off
as $body$
#variable_conflict use_column
declare
    v_ids bigint[];
    v_back bigint[];
    v_queueing_locks text[];
begin
    select
        array_agg(h.id),
        array_agg(h.id) filter (where h.status <> 'todo' and h.queueing_lock is not null),
        array_agg(h.queueing_lock) filter (where h.status <> 'todo' and h.queueing_lock is not null)
    into v_ids, v_back, v_queueing_locks
    from (
        select j.id, j.status, j.queueing_lock
        from procrastinate_jobs j
        where j.id = any (p_ids)
            and (
                j.status = any (array['failed', 'cancelled', 'aborted', 'succeeded']::procrastinate_job_status[])
                or (j.status = 'todo' and j.scheduled_at < queue_tasks_parked_until_v1())
            )
        order by j.id
        for no key update
    ) h;
    if v_ids is null then
        return;
    end if;

    update procrastinate_jobs j
    set status = 'todo',
        scheduled_at = statement_timestamp() + make_interval(secs => p_wait),
        args = coalesce(p_args, j.args),
        lock = coalesce(p_lock, j.lock),
        abort_requested = false,
        qt_finished_at = null,
        qt_expires_at = null,
        qt_result = null,
        qt_crashes = 0,
        qt_meta = nullif(j.qt_meta - 'progress', '{}'::jsonb),
        queueing_lock = case when j.status = 'todo' then j.queueing_lock end
    where j.id = any (v_ids);
    perform queue_tasks_take_queueing_locks_v1(v_back, v_queueing_locks);
    return query select unnest(v_ids);
end
$body$;

comment on function queue_tasks_retry_jobs_v1(bigint[], double precision, jsonb, text) is 'Make finished jobs ready to run once more.';

-- from sql/functions/queue_tasks_run_after_v1.sql
-- queue_tasks_run_after_v1(meta) -> timestamp with time zone; null when there is none, or something that is no time
-- The time a job was scheduled for, as enqueue wrote it into qt_meta. What a stranger wrote there must not end the statement
-- that looks: only text of enqueue's own form is read, and a day beyond its month's end is one of the next.
-- Called by  queries/count_queues.sql, queries/measure_backlog.sql, queries/measure_jobs.sql
create or replace function queue_tasks_run_after_v1(p_meta jsonb) returns timestamp with time zone
    language sql stable parallel safe
as $body$
    select case
        when p_meta ->> 'run_after' ~ '^[12][0-9]{3}-(0[1-9]|1[0-2])-[0-3][0-9]T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?[+-](0[0-9]|1[0-4])(:[0-5][0-9])?$'
        then (left(p_meta ->> 'run_after', 8) || '01' || substr(p_meta ->> 'run_after', 11))::timestamp with time zone
            + make_interval(days => substr(p_meta ->> 'run_after', 9, 2)::integer - 1)
    end
$body$;

comment on function queue_tasks_run_after_v1(jsonb) is 'The time a job was scheduled for; null when there is none, or something that is no time.';

-- from sql/functions/queue_tasks_run_schedule_v1.sql
-- queue_tasks_run_schedule_v1(name) -> bigint: the job's id; null when there is no such schedule
-- Enqueue a schedule's job now, at no tick of it, also when it is paused or gone.
-- Called by  queries/run_schedule.sql
-- Writes     procrastinate_jobs, queue_tasks_ticks, queue_tasks_schedules
-- Locks      the schedule, for update, until commit
create or replace function queue_tasks_run_schedule_v1(p_name text) returns bigint
    language plpgsql
as $body$
declare
    v_id bigint;
    v_now timestamp with time zone;
    v_job_id bigint;
begin
    select s.id into v_id from queue_tasks_schedules s where s.name = p_name for update;
    if not found then
        return null;
    end if;
    -- After the lock, so that two in a row are two times.
    v_now := clock_timestamp();
    select e.job_id into v_job_id from queue_tasks_enqueue_ticks_v1(v_id, array[v_now], array[v_now]) e;
    insert into queue_tasks_ticks (schedule_id, tick, outcome, job_id) values (v_id, v_now, 'run', v_job_id);
    update queue_tasks_schedules s set last_job_id = v_job_id where s.id = v_id;
    return v_job_id;
end
$body$;

comment on function queue_tasks_run_schedule_v1(text) is 'Enqueue a schedule''s job now.';

-- from sql/functions/queue_tasks_some_lock_free_v1.sql
-- queue_tasks_some_lock_free_v1() -> boolean
-- Whether any job with a lock is ready whose lock nobody holds; so it says, too, where very many locks are held.
-- Called by  queue_tasks_free_heads_v1, by whose settings it is planned
-- Index      procrastinate_jobs_qt_locked_idx, procrastinate_jobs_lock_idx_v1
--
-- All are held if nobody waits before the first lock held, nor behind the last, nor between two that follow each other in their
-- line: a probe for each lock held, however many jobs wait behind it.
create or replace function queue_tasks_some_lock_free_v1() returns boolean
    language plpgsql
as $body$
declare
    c_many constant integer := 500;
    v_held constant text[] := array(
        select b.lock from procrastinate_jobs b where b.status = 'doing' and b.lock is not null order by b.lock limit c_many
    );
    v_last constant integer := cardinality(v_held);
begin
    return v_last = 0 or v_last = c_many
        or (
            select j.id from procrastinate_jobs j
            where j.lock < v_held[1] and j.status = 'todo' and j.scheduled_at is null
            order by j.lock, j.priority desc, j.id limit 1
        ) is not null
        or (
            select j.id from procrastinate_jobs j
            where j.lock > v_held[v_last] and j.status = 'todo' and j.scheduled_at is null
            order by j.lock, j.priority desc, j.id limit 1
        ) is not null
        or exists (
            select
            from unnest(v_held[:v_last - 1], v_held[2:]) h (lock, next)
            where (
                select j.id from procrastinate_jobs j
                where j.lock > h.lock and j.lock < h.next and j.status = 'todo' and j.scheduled_at is null
                order by j.lock, j.priority desc, j.id limit 1
            ) is not null
        );
end
$body$;

comment on function queue_tasks_some_lock_free_v1() is 'Whether any job with a lock is ready whose lock nobody holds.';

-- from sql/functions/queue_tasks_sync_schedules_v1.sql
-- queue_tasks_sync_schedules_v1(declared jsonb) -> one row for each schedule that changed: name text, change text (added, changed, back or gone)
-- Bring what the code declares to the database: an array of objects with the names of queue_tasks_schedules' columns.
-- What an operator has overridden or paused stays so. A schedule that is not declared any more is marked as gone and
-- does not tick; nothing is deleted. When it ticks is counted anew only where that was changed.
-- Called by  queries/sync_schedules.sql
-- Writes     queue_tasks_schedules
-- Locks      an advisory lock of the transaction: workers that start together come one after the other
create or replace function queue_tasks_sync_schedules_v1(p_declared jsonb)
    returns table (name text, change text)
    language plpgsql
as $body$
#variable_conflict use_column
declare
    v_declared record;
    v_known record;
begin
    -- 29044 is "qt" in ASCII.
    perform pg_advisory_xact_lock(29044, 0);
    for v_declared in
        select
            d.name, d.task_name, d.queue_name, d.priority, d.lock, d.args, d.ephemeral,
            d.cron, d.every, d.timezone, d.missed, d.max_missed, d.overlap, d.jitter
        from jsonb_populate_recordset(null::queue_tasks_schedules, p_declared) d
    loop
        select
            s.id,
            s.gone_at is not null as gone,
            (
                s.declared, s.gone_at is null, s.task_name, s.queue_name, s.priority, s.lock, s.args, s.ephemeral,
                s.cron, s.every, s.timezone, s.missed, s.max_missed, s.overlap, s.jitter
            ) is not distinct from (
                true, true, v_declared.task_name, v_declared.queue_name, v_declared.priority, v_declared.lock,
                v_declared.args, v_declared.ephemeral, v_declared.cron, v_declared.every, v_declared.timezone,
                v_declared.missed, v_declared.max_missed, v_declared.overlap, v_declared.jitter
            ) as same,
            s.gone_at is not null
                or (
                    s.override_cron is null and s.override_every is null
                    and (s.cron, s.every) is distinct from (v_declared.cron, v_declared.every)
                )
                or (s.override_timezone is null and s.timezone <> v_declared.timezone) as anew
        into v_known
        from queue_tasks_schedules s
        where s.name = v_declared.name
        for update;
        if not found then
            insert into queue_tasks_schedules (
                name, task_name, queue_name, priority, lock, args, ephemeral,
                cron, every, timezone, missed, max_missed, overlap, jitter
            )
            values (
                v_declared.name, v_declared.task_name, v_declared.queue_name, v_declared.priority, v_declared.lock,
                v_declared.args, v_declared.ephemeral, v_declared.cron, v_declared.every, v_declared.timezone,
                v_declared.missed, v_declared.max_missed, v_declared.overlap, v_declared.jitter
            );
            return query select v_declared.name, 'added'::text;
        elsif not v_known.same then
            update queue_tasks_schedules s
            set
                declared = true,
                gone_at = null,
                task_name = v_declared.task_name,
                queue_name = v_declared.queue_name,
                priority = v_declared.priority,
                lock = v_declared.lock,
                args = v_declared.args,
                ephemeral = v_declared.ephemeral,
                cron = v_declared.cron,
                every = v_declared.every,
                timezone = v_declared.timezone,
                missed = v_declared.missed,
                max_missed = v_declared.max_missed,
                overlap = v_declared.overlap,
                jitter = v_declared.jitter,
                revision = s.revision + 1,
                last_tick = case when v_known.anew then clock_timestamp() else s.last_tick end,
                next_tick = case when v_known.anew then null else s.next_tick end
            where s.id = v_known.id;
            return query select v_declared.name, case when v_known.gone then 'back' else 'changed' end;
        end if;
    end loop;

    return query
    update queue_tasks_schedules s
    set gone_at = clock_timestamp(), revision = s.revision + 1
    where s.declared
        and s.gone_at is null
        and s.name <> all (array(select d ->> 'name' from jsonb_array_elements(p_declared) d))
    returning s.name, 'gone'::text;
end
$body$;

comment on function queue_tasks_sync_schedules_v1(jsonb) is 'Bring what the code declares to the database.';

-- from sql/functions/queue_tasks_take_candidates_v1.sql
-- queue_tasks_take_candidates_v1(ids bigint[], max_jobs bigint) -> bigint[]; null: none of them can be had
-- Of some jobs, those that are ready still and held by nobody else: the first max_jobs, highest priority first, then oldest.
-- Called by  queue_tasks_take_first_v1, queue_tasks_take_limited_v1, queue_tasks_take_merged_v1
-- Locks      the jobs returned, for update skip locked, until commit
-- Index      procrastinate_jobs_pkey
--
-- What it reads it must sort, which is shut for all other statements of a fetch. "is not distinct from": an index on the
-- jobs that are todo must not be walked for the sake of a few ids.
create or replace function queue_tasks_take_candidates_v1(p_ids bigint[], p_max_jobs bigint) returns bigint[]
    language plpgsql
    set enable_sort = on
as $body$
begin
    return (
        select array_agg(t.id)
        from (
            select j.id
            from procrastinate_jobs j
            where j.id = any (p_ids) and j.status is not distinct from 'todo' and j.scheduled_at is null
            order by j.priority desc, j.id
            limit p_max_jobs
            for update skip locked
        ) t
    );
end
$body$;

comment on function queue_tasks_take_candidates_v1(bigint[], bigint) is 'Of some jobs, the first that are ready still and held by nobody else.';

-- from sql/functions/queue_tasks_take_first_v1.sql
-- queue_tasks_take_first_v1(queues text[], shut text[], limited text[], max_jobs integer) -> bigint[], max_jobs of them; or null
-- The first ready jobs of many queues, where they stand in one line: in upstream's index. Jobs that wait for a time or a
-- lock stand between them, so it is not looked far. Null: too few of what stands there may start, or can be had, or some
-- belong to a queue with a limit, which must be held to be counted. Then each queue is to be looked into.
-- queues: names; null means every queue. shut, limited: those that are paused, or have a limit.
-- Called by  queue_tasks_fetch_jobs_v1, by whose settings it is planned
-- Locks      the jobs returned, and some more, for update skip locked, until commit
-- Index      procrastinate_jobs_priority_idx_v1, procrastinate_jobs_lock_idx_v1, procrastinate_jobs_qt_locked_idx
create or replace function queue_tasks_take_first_v1(p_queues text[], p_shut text[], p_limited text[], p_max_jobs integer) returns bigint[]
    language plpgsql
as $body$
declare
    v_candidates bigint[];
    v_counted boolean;
    v_ids bigint[];
begin
    select array_agg(c.id), bool_or(c.queue_name = any (p_limited)) into v_candidates, v_counted
    from (
        select w.id, w.queue_name
        from (
            select j.id, j.queue_name, j.lock, j.scheduled_at
            from procrastinate_jobs j
            where j.status = 'todo'
            order by j.priority desc, j.id
            limit 100 + 4 * p_max_jobs
        ) w
        where w.scheduled_at is null and w.queue_name <> all (p_shut) and (p_queues is null or w.queue_name = any (p_queues))
            and (w.lock is null or (
                not exists (select from procrastinate_jobs o where o.lock = w.lock and o.status = 'doing')
                and w.id = (
                    select o.id
                    from procrastinate_jobs o
                    where o.lock >= w.lock and o.lock <= w.lock and o.status = 'todo' and o.scheduled_at is null
                    order by o.lock, o.priority desc, o.id
                    limit 1
                )
            ))
        limit 2 * p_max_jobs
    ) c;
    if v_counted or coalesce(cardinality(v_candidates), 0) < p_max_jobs then
        return null;
    end if;
    v_ids := queue_tasks_take_candidates_v1(v_candidates, p_max_jobs);
    -- Others hold some of those: ours are found again by the long way.
    return case when cardinality(v_ids) = p_max_jobs then v_ids end;
end
$body$;

comment on function queue_tasks_take_first_v1(text[], text[], text[], integer) is 'The first ready jobs of many queues, where they stand in one line.';

-- from sql/functions/queue_tasks_take_from_place_v1.sql
-- queue_tasks_take_from_place_v1(queues text[], closed text[], max_jobs integer) -> bigint[], max_jobs of them; or null
-- The first ready jobs from the place on that a costly look has found, newer ones of a higher priority first. Null: no place
-- is remembered, or not one for these queues, or it is time to look from the beginning, as it is at the place's end.
-- queues: names; null means every queue. closed: those that are paused or have a limit.
-- Called by  queue_tasks_fetch_jobs_v1, by whose settings it is planned
-- Locks      the jobs returned, and some more, for update skip locked, until commit
-- Index      procrastinate_jobs_qt_ready_idx
create or replace function queue_tasks_take_from_place_v1(p_queues text[], p_closed text[], p_max_jobs integer) returns bigint[]
    language plpgsql
as $body$
declare
    v_place jsonb := current_setting('queue_tasks.place', true);
    v_queue text := v_place ->> 'queue';
    v_priority integer := v_place ->> 'priority';
    v_first bigint := v_place ->> 'id';
    v_newest bigint := v_place ->> 'newest';
    v_higher bigint[];
    v_seen integer;
    v_ids bigint[];
begin
    if not (v_place ->> 'until')::timestamp with time zone > clock_timestamp()
        or p_queues <> array[v_queue]
        or v_queue = any (p_closed)
    then
        return null;
    end if;
    select array_agg(t.id) into v_higher
    from (
        select j.id
        from procrastinate_jobs j
        where j.queue_name >= v_queue and j.queue_name <= v_queue and j.priority > v_priority and j.id > v_newest
            and j.status = 'todo' and j.scheduled_at is null and j.lock is null
        order by j.queue_name, j.priority desc, j.id
        limit p_max_jobs
        for update skip locked
    ) t;
    v_seen := coalesce(cardinality(v_higher), 0);
    select array_agg(t.id) into v_ids
    from (
        select j.id
        from procrastinate_jobs j
        where j.queue_name >= v_queue and j.queue_name <= v_queue and j.priority = v_priority and j.id >= v_first
            and j.status = 'todo' and j.scheduled_at is null and j.lock is null
        order by j.queue_name, j.priority desc, j.id
        limit p_max_jobs - v_seen
        for update skip locked
    ) t;
    if v_seen + coalesce(cardinality(v_ids), 0) < p_max_jobs then
        return null;
    end if;
    v_first := coalesce(v_ids[cardinality(v_ids)], v_first);
    perform set_config('queue_tasks.place', jsonb_set(v_place, '{id}', to_jsonb(v_first))::text, false);
    return v_higher || v_ids;
end
$body$;

comment on function queue_tasks_take_from_place_v1(text[], text[], integer) is 'The first ready jobs from the place on that a costly look has found.';

-- from sql/functions/queue_tasks_take_limited_v1.sql
-- queue_tasks_take_limited_v1(queues text[], rooms bigint[], heads bigint[], max_jobs integer) -> bigint[]; null: there is none
-- Of each queue with a limit the first ready jobs, as many as it has room for; and of the others the heads as they are given.
-- queues, rooms: those that have room, and how much, held by queue_tasks_hold_limits_v1. heads: jobs with a lock that may
-- start, of any queue.
-- Called by  queue_tasks_fetch_jobs_v1, by whose settings it is planned
-- Locks      the jobs returned of these queues, and some more, for update skip locked, until commit
-- Index      procrastinate_jobs_qt_ready_idx, procrastinate_jobs_pkey
--
-- Held before they are counted: one that somebody else holds must not take the place of one that can be had.
create or replace function queue_tasks_take_limited_v1(p_queues text[], p_rooms bigint[], p_heads bigint[], p_max_jobs integer) returns bigint[]
    language plpgsql
as $body$
declare
    v_place integer;
    v_room bigint;
    v_taken bigint[] := array(select j.id from procrastinate_jobs j where j.id = any (p_heads) and j.queue_name <> all (p_queues));
    v_plain bigint[];
    v_heads bigint[];
begin
    for v_place in 1..cardinality(p_queues) loop
        v_room := least(p_rooms[v_place], p_max_jobs);
        select array_agg(t.id) into v_plain
        from (
            select j.id
            from procrastinate_jobs j
            where j.queue_name >= p_queues[v_place] and j.queue_name <= p_queues[v_place]
                and j.status = 'todo' and j.scheduled_at is null and j.lock is null
            order by j.queue_name, j.priority desc, j.id
            limit v_room
            for update skip locked
        ) t;
        v_heads := array(
            select j.id from procrastinate_jobs j where j.id = any (p_heads) and j.queue_name is not distinct from p_queues[v_place]
        );
        v_taken := v_taken || queue_tasks_take_candidates_v1(v_plain || v_heads, v_room);
    end loop;
    return nullif(v_taken, '{}');
end
$body$;

comment on function queue_tasks_take_limited_v1(text[], bigint[], bigint[], integer) is 'Of each queue with a limit the first ready jobs, as many as it has room for.';

-- from sql/functions/queue_tasks_take_merged_v1.sql
-- queue_tasks_take_merged_v1(queues text[], jobs bigint[], max_jobs integer) -> bigint[]; null: none can be had
-- The first ready jobs of several lines, merged by priority: those without a lock of some queues, and some more.
-- queues: in the order of their first jobs. jobs: those that may start beside them, such as the heads of locks.
-- Called by  queue_tasks_fetch_jobs_v1, by whose settings it is planned
-- Locks      the jobs returned, for update skip locked, until commit
-- Index      procrastinate_jobs_qt_ready_idx, procrastinate_jobs_pkey
--
-- Only rows that are taken may be locked, so the candidates are read first; when other fetches hold some of those, it looks
-- further down the lines instead of going to sleep beside ready jobs.
create or replace function queue_tasks_take_merged_v1(p_queues text[], p_jobs bigint[], p_max_jobs integer) returns bigint[]
    language plpgsql
as $body$
declare
    v_window integer := p_max_jobs;
    v_candidates bigint[];
    v_seen integer;
    v_ids bigint[];
begin
    loop
        select array_agg(f.id), count(*) into v_candidates, v_seen
        from (
            select c.id
            from (
                select line.id, line.priority
                from unnest(p_queues[:v_window]) q (name)
                cross join lateral (
                    select j.id, j.priority
                    from procrastinate_jobs j
                    where j.queue_name >= q.name and j.queue_name <= q.name
                        and j.status = 'todo' and j.scheduled_at is null and j.lock is null
                    order by j.queue_name, j.priority desc, j.id
                    limit v_window
                ) line
                union all
                select j.id, j.priority from procrastinate_jobs j where j.id = any (p_jobs)
            ) c
            order by c.priority desc, c.id
            limit v_window
        ) f;
        v_ids := queue_tasks_take_candidates_v1(v_candidates, p_max_jobs);
        -- Others may have emptied those lines since they were put in order: then there may be more in the rest.
        exit when cardinality(v_ids) = p_max_jobs or v_window > 50000
            or (v_seen < v_window and coalesce(cardinality(p_queues), 0) <= v_window);
        v_window := v_window * 4;
    end loop;
    return v_ids;
end
$body$;

comment on function queue_tasks_take_merged_v1(text[], bigint[], integer) is 'The first ready jobs of several lines, merged by priority.';

-- from sql/functions/queue_tasks_take_queueing_locks_v1.sql
-- queue_tasks_take_queueing_locks_v1(ids bigint[], queueing_locks text[]) -> void; arrays of one length, or null
-- Give jobs that have just come back into their line the queueing locks they came with. One whose lock a waiting twin has
-- goes on without it; of several with one lock, the first has it. The caller has written the jobs without them.
-- Called by  queue_tasks_finish_jobs_v1, queue_tasks_reclaim_jobs_v1, queue_tasks_rescue_jobs_v1, queue_tasks_retry_jobs_v1
-- Writes     procrastinate_jobs
-- Locks      the queueing locks, in the order of their names, until commit
-- Index      procrastinate_jobs_pkey, procrastinate_jobs_queueing_lock_idx_v1
--
-- All rows have been locked before, so that nobody waits for a row while he holds a queueing lock: together with the order
-- of the names, nobody waits in a circle.
create or replace function queue_tasks_take_queueing_locks_v1(p_ids bigint[], p_queueing_locks text[]) returns void
    language plpgsql
    set enable_seqscan = off
    set jit = off
as $body$
declare
    v_job record;
begin
    for v_job in
        select b.id, b.queueing_lock
        from unnest(p_ids, p_queueing_locks) b (id, queueing_lock)
        order by b.queueing_lock, b.id
    loop
        begin
            update procrastinate_jobs j
            set queueing_lock = v_job.queueing_lock
            where j.id = v_job.id
                and not exists (
                    select from procrastinate_jobs t where t.queueing_lock = v_job.queueing_lock and t.status = 'todo'
                );
        exception when unique_violation then
            -- The twin was being enqueued at this moment.
            null;
        end;
    end loop;
end
$body$;

comment on function queue_tasks_take_queueing_locks_v1(bigint[], text[]) is 'Give jobs that come back the queueing locks that no twin has.';

-- from sql/functions/queue_tasks_tell_finished_v1.sql
-- queue_tasks_tell_finished_v1(ids bigint[]) -> void
-- Tell those who wait for results that these jobs have finished: their ids separated by commas, or * when they are many.
-- Where nobody follows, nobody is told. A hint, as every notification: the row is the truth.
-- Called by  the triggers on procrastinate_jobs
create or replace function queue_tasks_tell_finished_v1(p_ids bigint[]) returns void
    language plpgsql
as $body$
declare
    v_told boolean;
begin
    -- Assigned, not performed: see queue_tasks_wake_queue_v1.
    if queue_tasks_is_followed_v1() then
        v_told := pg_notify('queue_tasks_finished', case when cardinality(p_ids) > 50 then '*' else array_to_string(p_ids, ',') end) is null;
    end if;
end
$body$;

comment on function queue_tasks_tell_finished_v1(bigint[]) is 'Tell those who wait for results that these jobs have finished.';

-- from sql/functions/queue_tasks_tell_scheduled_v1.sql
-- queue_tasks_tell_scheduled_v1(first timestamptz, id bigint) -> void
-- Tell workers that jobs were scheduled, of which the first is due then; id: the least of theirs, null: of jobs that were there before.
-- Of a job that is due in five minutes or later only those are told who follow: each worker looks more often for what is due
-- next. Nor is anybody told where each wakes before anyway, for another job.
-- Called by  the triggers on procrastinate_jobs
--
-- A transaction that ends when its job is nearly due, minutes after it was written, waits for a worker's look.
create or replace function queue_tasks_tell_scheduled_v1(p_first timestamp with time zone, p_id bigint) returns void
    language sql
as $body$
    -- Without a "from": it becomes a part of the caller's expression, and nothing is executed.
    select case
        when queue_tasks_is_followed_v1()
            or (p_first < clock_timestamp() + interval '5 minutes' and not queue_tasks_is_due_before_v1(p_first, p_id))
        then pg_notify('queue_tasks_scheduled', '')
    end
$body$;

comment on function queue_tasks_tell_scheduled_v1(timestamp with time zone, bigint) is 'Tell workers that jobs were scheduled, unless they find out in time anyway.';

-- from sql/functions/queue_tasks_tell_v1.sql
-- queue_tasks_tell_v1() -> trigger
-- Say on the channel that the trigger names that something changed. A hint: whoever hears it reads the rows.
-- Called by  procrastinate_workers_qt_told, queue_tasks_queues_changed, queue_tasks_schedules_changed
create or replace function queue_tasks_tell_v1() returns trigger
    language plpgsql
as $body$
begin
    perform pg_notify(tg_argv[0], '');
    return null;
end
$body$;

comment on function queue_tasks_tell_v1() is 'Say on a channel that something changed.';

-- from sql/functions/queue_tasks_wake_queue_v1.sql
-- queue_tasks_wake_queue_v1(queue text) -> void
-- Tell workers that this queue has jobs to fetch: one notification for it, one for workers of all queues.
-- Of the workers that sleep, two are named: the first looks at once, the second a little later, should the first be
-- dead, stopped or busy. All hear it; a stock procrastinate worker does not know the names, and looks. When every worker that
-- serves the queue looks by itself, nobody is told: a notification makes all writers of the server commit in a row.
-- The two are the same for all statements of a transaction, so that Postgres folds its notifications. A queue whose
-- channel name would pass Postgres' 63 bytes has no channel of its own: workers of it listen to the one for all.
-- Called by  procrastinate_jobs_qt_inserted; queue_tasks_wake_queues_v1
--
-- Silence is safe because a worker goes to sleep in this order: it says so and commits, notes which transactions hold
-- procrastinate_jobs for writing, goes on looking until each of them has ended, and looks once more. Whoever did not see
-- it asleep here held the table before it looked, and is among those. This takes a snapshot of the present, which the
-- queries of a volatile function have in READ COMMITTED only: in other levels everybody is told.
create or replace function queue_tasks_wake_queue_v1(p_queue text) returns void
    language plpgsql
as $body$
declare
    v_asleep boolean;
    v_payload text := '{"type": "job_inserted", "job_id": 0}';
    v_told boolean;
begin
    if current_setting('transaction_isolation') = 'read committed' then
        -- Null: nobody is known to serve it.
        select bool_or(l.asleep is not false) into v_asleep
        from queue_tasks_listeners l
        where l.queues is null or p_queue = any (l.queues);
        if not v_asleep then
            return;
        end if;
        if v_asleep then
            select coalesce('{"type": "job_inserted", "job_id": 0, "workers": [' || string_agg(n.id::text, ', ') || ']}', v_payload)
            into v_payload
            from (
                select l.worker_id as id
                from queue_tasks_listeners l
                where l.asleep and (l.queues is null or p_queue = any (l.queues))
                order by hashint8extended(l.worker_id, pg_current_xact_id()::text::bigint)
                limit 2
            ) n;
        end if;
    end if;
    -- Assigned, not performed: plpgsql evaluates an expression by itself, and sends a "perform" through the executor.
    if octet_length(p_queue) <= 40 then
        v_told := pg_notify('procrastinate_queue_v1#' || p_queue, v_payload) is null;
    end if;
    v_told := pg_notify('procrastinate_any_queue_v1', v_payload) is null;
end
$body$;

comment on function queue_tasks_wake_queue_v1(text) is 'Tell workers that this queue has jobs to fetch.';

-- from sql/functions/queue_tasks_wake_queues_v1.sql
-- queue_tasks_wake_queues_v1(queues text[]) -> void; queues: each once
-- Tell workers that these queues have jobs to fetch: see queue_tasks_wake_queue_v1.
-- Called by  the triggers on procrastinate_jobs
create or replace function queue_tasks_wake_queues_v1(p_queues text[]) returns void
    language plpgsql
as $body$
declare
    v_queue text;
    v_woken boolean;
begin
    foreach v_queue in array p_queues loop
        -- Assigned, not performed: see queue_tasks_wake_queue_v1.
        v_woken := queue_tasks_wake_queue_v1(v_queue) is null;
    end loop;
end
$body$;

comment on function queue_tasks_wake_queues_v1(text[]) is 'Tell workers that these queues have jobs to fetch.';

-- from sql/functions/queue_tasks_worker_lock_v1.sql
-- queue_tasks_worker_lock_v1(worker_id bigint) -> bigint
-- The key of the session advisory lock that a worker of ours holds while it lives. 29044 is "qt" in ASCII.
-- Called by  queries/hold_lock.sql, queue_tasks_rescue_jobs_v1
create or replace function queue_tasks_worker_lock_v1(p_worker_id bigint) returns bigint
    language sql immutable parallel safe
as $body$
    select (29044::bigint << 47) | p_worker_id
$body$;

comment on function queue_tasks_worker_lock_v1(bigint) is 'The key of a worker''s advisory lock.';

-- from sql/triggers/procrastinate_events_qt_inserted.sql
-- procrastinate_events_qt_inserted: after insert on procrastinate_events, for each row
-- An event is of a job that exists. Events written by our own triggers, or by a fetch, are, and are not checked again: for these
-- a row's trigger costs a comparison, where a statement's would have the server copy each of them.
-- Called by  whoever inserts events directly
create or replace function queue_tasks_events_inserted_v1() returns trigger
    language plpgsql
as $body$
begin
    perform queue_tasks_require_jobs_v1(array[new.job_id]);
    return null;
end
$body$;

comment on function queue_tasks_events_inserted_v1() is 'Refuse events of jobs that do not exist.';

create or replace trigger procrastinate_events_qt_inserted
    after insert on procrastinate_events
    for each row
    when (((pg_trigger_depth() = 0) and queue_tasks_is_not_fetching_v1()))
    execute function queue_tasks_events_inserted_v1();

-- from sql/triggers/procrastinate_jobs_qt_deleted.sql
-- procrastinate_jobs_qt_deleted: after delete on procrastinate_jobs, for each statement
-- Deletes the events of deleted jobs and unlinks them from periodic defers, as upstream's foreign keys and row trigger
-- did; wakes those who waited for a deleted job's lock, result, or share of a limit.
-- Called by  every delete
-- Writes     procrastinate_events, procrastinate_periodic_defers
-- Index      procrastinate_events_job_id_fkey_v1, procrastinate_periodic_defers_job_id_fkey_v1,
--            procrastinate_jobs_qt_locked_idx
--
-- By arrays, not joins: a plan is kept, and one made while the events are few would read all of them later.
create or replace function queue_tasks_jobs_deleted_v1() returns trigger
    language plpgsql
    set enable_seqscan = off
    set jit = off
as $body$
declare
    v_ids bigint[];
    v_kept bigint[];
    v_released text[];
    v_released_in text[];
    v_finished bigint[];
    v_waiting text[];
    v_told boolean;
begin
    select
        array_agg(o.id),
        array_agg(o.id) filter (where not o.qt_ephemeral),
        array_agg(distinct o.lock) filter (
            where o.lock is not null and (o.status = 'doing' or (o.status = 'todo' and o.scheduled_at is null))
        ),
        array_agg(distinct o.queue_name::text) filter (where o.lock is not null and o.status = 'doing'),
        array_agg(o.id) filter (where o.status = any (array['todo', 'doing']::procrastinate_job_status[]))
    into v_ids, v_kept, v_released, v_released_in, v_finished
    from old_jobs o;

    if v_ids is null then
        return null;
    end if;
    if v_kept is not null then
        delete from procrastinate_events e where e.job_id = any (v_kept);
    end if;
    -- By id, as upstream's defer does when it deletes the old ones.
    with held as materialized (
        select p.id from procrastinate_periodic_defers p where p.job_id = any (v_ids) order by p.id for no key update
    )
    update procrastinate_periodic_defers p set job_id = null where p.id = any (array(select h.id from held h));

    if v_released is not null then
        -- As in queue_tasks_jobs_updated_v1.
        select array_agg(distinct head.queue_name::text) into v_waiting
        from unnest(v_released) r (lock)
        cross join lateral (
            select j.queue_name
            from procrastinate_jobs j
            where j.lock = r.lock and j.status = 'todo' and j.scheduled_at is null
            order by j.priority desc, j.id
            limit 1
        ) head;
        v_waiting := v_waiting || v_released_in;
    end if;
    if exists (select from queue_tasks_queues q where q.concurrency is not null) then
        select v_waiting || array_agg(distinct o.queue_name::text) into v_waiting
        from old_jobs o
        where o.status = 'doing'
            and o.queue_name = any (array(select q.queue_name from queue_tasks_queues q where q.concurrency is not null));
    end if;
    if v_waiting is not null then
        perform queue_tasks_wake_queues_v1(array(select distinct unnest(v_waiting)));
    end if;
    if v_finished is not null then
        -- Assigned, not performed: see queue_tasks_wake_queue_v1.
        v_told := queue_tasks_tell_finished_v1(v_finished) is null;
    end if;
    return null;
end
$body$;

comment on function queue_tasks_jobs_deleted_v1() is 'What follows from deleted jobs, once a statement.';

create or replace trigger procrastinate_jobs_qt_deleted
    after delete on procrastinate_jobs
    referencing old table as old_jobs
    for each statement
    execute function queue_tasks_jobs_deleted_v1();

-- from sql/triggers/procrastinate_jobs_qt_inserted.sql
-- procrastinate_jobs_qt_inserted: after insert on procrastinate_jobs, for each statement
-- Writes the events of new jobs in one statement, and wakes each queue once, however many rows came. Sees to it that the
-- commit waits for the disk.
-- Called by  every insert, ours, upstream's defer or anybody's
-- Writes     procrastinate_events
create or replace function queue_tasks_jobs_inserted_v1() returns trigger
    language plpgsql
as $body$
declare
    v_id bigint;
    v_queue text;
    v_at timestamp with time zone;
    v_rare boolean;
    v_first text;
    v_last text;
    v_queues text[];
    v_due timestamp with time zone;
    v_kept boolean;
    v_owned boolean;
    v_wrong boolean;
    v_told boolean;
begin
    -- Who was told that his transaction is committed finds his jobs after a crash of the server, even where his role or
    -- session is set not to wait for that.
    if current_setting('synchronous_commit') = 'off'
        and current_setting('queue_tasks.durable_enqueue', true) is distinct from 'off'
    then
        perform set_config('synchronous_commit', 'on', true);
    end if;

    -- The usual case is one new job, and has a way of its own: to set up aggregates takes the server longer than to read a row, and
    -- each expression of a function is set up once in a transaction.
    select
        n.id,
        case when n.scheduled_at is null then n.queue_name end,
        n.scheduled_at,
        not n.qt_ephemeral,
        n.status <> 'todo' or n.scheduled_at <= clock_timestamp() or n.worker_id is not null or n.abort_requested
    into v_id, v_queue, v_at, v_kept, v_rare
    from new_jobs n
    limit 1;
    perform from new_jobs offset 1;
    if (found or v_rare) is not true then
        -- A parked job has no time: an event dated far ahead would keep its row from upstream's delete_old_jobs for ever.
        if v_at < queue_tasks_parked_until_v1() then
            -- Assigned, not performed: plpgsql evaluates an expression by itself, and sends a "perform" through the executor.
            v_told := queue_tasks_tell_scheduled_v1(v_at, v_id) is null;
            if v_kept then
                insert into procrastinate_events (job_id, type, at) values (v_id, 'scheduled', v_at);
            end if;
        end if;
        if v_kept then
            insert into procrastinate_events (job_id, type) values (v_id, 'deferred');
        end if;
        if v_queue is not null then
            v_told := queue_tasks_wake_queue_v1(v_queue) is null;
        end if;
        return null;
    end if;

    -- The queues are listed below, where there are several: an aggregate of distinct values sorts.
    select
        min(n.queue_name) filter (where n.ready),
        max(n.queue_name) filter (where n.ready),
        min(n.scheduled_at) filter (where n.status = 'todo' and n.scheduled_at < queue_tasks_parked_until_v1()),
        min(n.id),
        bool_or(n.status = 'todo' and not n.qt_ephemeral),
        bool_or(n.worker_id is not null),
        bool_or(n.abort_requested and n.status = 'todo')
    into v_first, v_last, v_due, v_id, v_kept, v_owned, v_wrong
    from (
        select
            j.id,
            j.queue_name,
            j.status,
            j.scheduled_at,
            j.qt_ephemeral,
            j.worker_id,
            j.abort_requested,
            -- Due already counts: a stock worker takes it as it is, ours once it is promoted.
            j.status = 'todo' and (j.scheduled_at is null or j.scheduled_at <= clock_timestamp()) as ready
        from new_jobs j
    ) n;

    if v_wrong then
        perform queue_tasks_refuse_abort_v1();
    end if;

    if v_due is not null then
        v_told := queue_tasks_tell_scheduled_v1(v_due, v_id) is null;
        insert into procrastinate_events (job_id, type, at)
        select n.id, 'scheduled', n.scheduled_at
        from new_jobs n
        where n.status = 'todo' and n.scheduled_at < queue_tasks_parked_until_v1() and not n.qt_ephemeral;
    end if;
    if v_kept then
        insert into procrastinate_events (job_id, type)
        select n.id, 'deferred'
        from new_jobs n
        where n.status = 'todo' and not n.qt_ephemeral;
    end if;
    if v_first = v_last then
        v_queues := array[v_first];
    elsif v_first is not null then
        select array_agg(distinct n.queue_name::text) into v_queues
        from new_jobs n
        where n.status = 'todo' and (n.scheduled_at is null or n.scheduled_at <= clock_timestamp());
    end if;
    if v_queues is not null then
        v_told := queue_tasks_wake_queues_v1(v_queues) is null;
    end if;
    if v_owned then
        perform queue_tasks_require_workers_v1((select array_agg(distinct n.worker_id) from new_jobs n where n.worker_id is not null));
    end if;
    return null;
end
$body$;

comment on function queue_tasks_jobs_inserted_v1() is 'Events and wake-ups of new jobs, once a statement.';

create or replace trigger procrastinate_jobs_qt_inserted
    after insert on procrastinate_jobs
    referencing new table as new_jobs
    for each statement
    execute function queue_tasks_jobs_inserted_v1();

-- from sql/triggers/procrastinate_jobs_qt_updated.sql
-- procrastinate_jobs_qt_updated: after update on procrastinate_jobs, for each statement
-- Writes the events of changed jobs in one statement; wakes the queues in which a job became ready, also by a retry or
-- because a lock was released, or that a job has left which have a limit; tells of scheduled, finished and aborting jobs.
-- Called by  every update, ours, upstream's functions or anybody's, but that of queue_tasks_fetch_jobs_v1: nothing follows
--            from it but the events, which it writes itself, and it holds the worker
-- Writes     procrastinate_events, each job's in the order of upstream's triggers: abort_requested, scheduled, status
-- Index      procrastinate_jobs_qt_locked_idx
--
-- A plan is made for the size of the first statement's tables and kept: a nested loop made for one changed row would
-- compare a thousand rows with a thousand. Each way to join is named, since the function that made the change may have
-- set them otherwise.
create or replace function queue_tasks_jobs_updated_v1() returns trigger
    language plpgsql
    set enable_nestloop = off
    set enable_mergejoin = off
    set enable_hashjoin = on
    set enable_seqscan = off
    set jit = off
as $body$
declare
    v_ready text[];
    v_scheduled timestamp with time zone;
    v_released text[];
    v_released_in text[];
    v_finished bigint[];
    v_aborting bigint[];
    v_workers bigint[];
    v_wrong boolean;
    v_changed bigint[];
    v_types procrastinate_job_event_type[];
    v_waiting text[];
    v_told boolean;
begin
    -- What may come twice is made distinct where it is used: an aggregate of distinct values sets up a sort, for no row as well.
    select
        -- Due already counts: a stock worker, which retries so, takes it as it is, ours once it is promoted.
        array_agg(n.queue_name::text) filter (
            where n.status = 'todo' and (n.scheduled_at is null or n.scheduled_at <= clock_timestamp())
        ),
        min(n.scheduled_at) filter (
            where n.status = 'todo' and n.scheduled_at < queue_tasks_parked_until_v1()
                and (n.scheduled_at is distinct from o.scheduled_at or n.status <> o.status)
        ),
        -- A lock that was held, or whose line had this job in it, and that this job does not hold now.
        array_agg(o.lock) filter (
            where o.lock is not null
                and (o.status = 'doing' or (o.status = 'todo' and o.scheduled_at is null))
                and (n.status <> 'doing' or n.lock is distinct from o.lock)
        ),
        array_agg(o.queue_name::text) filter (
            where o.lock is not null and o.status = 'doing' and (n.status <> 'doing' or n.lock is distinct from o.lock)
        ),
        array_agg(n.id) filter (
            where n.status <> o.status and n.status = any (array['succeeded', 'failed', 'cancelled', 'aborted']::procrastinate_job_status[])
        ),
        array_agg(n.id) filter (where n.abort_requested and not o.abort_requested),
        array_agg(n.worker_id) filter (where n.worker_id is distinct from o.worker_id and n.worker_id is not null),
        bool_or(n.abort_requested and n.status = 'todo'),
        array_agg(n.id) filter (where n.status <> o.status and not n.qt_ephemeral),
        array_agg(
            case
                when o.status = 'todo' and n.status = 'doing' then 'started'
                when o.status = 'doing' and n.status = 'todo' then 'deferred_for_retry'
                when o.status = 'doing' and n.status = 'failed' then 'failed'
                when o.status = 'doing' and n.status = 'succeeded' then 'succeeded'
                when o.status = 'todo' and n.status = any (array['cancelled', 'failed', 'succeeded']::procrastinate_job_status[]) then 'cancelled'
                when o.status = 'doing' and n.status = 'aborted' then 'aborted'
                when o.status = any (array['failed', 'cancelled', 'aborted', 'succeeded']::procrastinate_job_status[]) and n.status = 'todo' then 'retried'
            end::procrastinate_job_event_type
        ) filter (where n.status <> o.status and not n.qt_ephemeral)
    into v_ready, v_scheduled, v_released, v_released_in, v_finished, v_aborting, v_workers, v_wrong, v_changed, v_types
    from old_jobs o
    join new_jobs n on n.id = o.id
    where n.status <> o.status
        or n.scheduled_at is distinct from o.scheduled_at
        or n.abort_requested <> o.abort_requested
        or n.worker_id is distinct from o.worker_id
        or n.queue_name <> o.queue_name
        or n.lock is distinct from o.lock
        or (n.lock is not null and n.priority <> o.priority);

    if v_wrong then
        perform queue_tasks_refuse_abort_v1();
    end if;
    if v_workers is not null then
        perform queue_tasks_require_workers_v1(array(select distinct unnest(v_workers)));
    end if;
    if v_aborting is not null then
        insert into procrastinate_events (job_id, type)
        select n.id, 'abort_requested' from new_jobs n where n.id = any (v_aborting) and not n.qt_ephemeral;
        -- Stock workers act on the id in the payload; ours take it as a hint and read the row.
        perform
            pg_notify(channel.name, jsonb_build_object('type', 'abort_job_requested', 'job_id', n.id)::text)
        from new_jobs n
        cross join lateral (
            select 'procrastinate_queue_v1#' || n.queue_name as name where octet_length(n.queue_name) <= 40
            union all
            select 'procrastinate_any_queue_v1'
        ) channel
        where n.id = any (v_aborting) and n.status = 'doing';
    end if;
    if v_scheduled is not null then
        v_told := queue_tasks_tell_scheduled_v1(v_scheduled, null) is null;
        insert into procrastinate_events (job_id, type, at)
        select n.id, 'scheduled', n.scheduled_at
        from old_jobs o
        join new_jobs n on n.id = o.id
        where n.status = 'todo'
            and n.scheduled_at < queue_tasks_parked_until_v1()
            and (n.scheduled_at is distinct from o.scheduled_at or n.status <> o.status)
            and not n.qt_ephemeral;
    end if;

    if v_changed is not null then
        insert into procrastinate_events (job_id, type)
        select c.id, c.type from unnest(v_changed, v_types) c (id, type) where c.type is not null;
    end if;

    if v_released is not null then
        -- The queue of the next in each line; and always that of the job that held the lock: a job that is being
        -- enqueued at this moment by another session cannot be seen from here, and its own wake-up came too early.
        select array_agg(head.queue_name::text) into v_waiting
        from (select distinct unnest(v_released) as lock) r
        cross join lateral (
            select j.queue_name
            from procrastinate_jobs j
            where j.lock = r.lock and j.status = 'todo' and j.scheduled_at is null
            order by j.priority desc, j.id
            limit 1
        ) head;
        v_ready := v_ready || v_released_in || v_waiting;
    end if;
    -- The end of a job makes room in a queue with a limit. Told whether or not one waits there: one that is being enqueued
    -- at this moment cannot be seen from here.
    if exists (select from queue_tasks_queues q where q.concurrency is not null) then
        select v_ready || array_agg(o.queue_name::text) into v_ready
        from old_jobs o
        join new_jobs n on n.id = o.id
        where o.status = 'doing' and n.status <> 'doing'
            and o.queue_name = any (array(select q.queue_name from queue_tasks_queues q where q.concurrency is not null));
    end if;
    if v_ready is not null then
        perform queue_tasks_wake_queues_v1(array(select distinct unnest(v_ready)));
    end if;
    if v_finished is not null then
        -- Assigned, not performed: see queue_tasks_wake_queue_v1.
        v_told := queue_tasks_tell_finished_v1(v_finished) is null;
    end if;
    return null;
end
$body$;

comment on function queue_tasks_jobs_updated_v1() is 'Events, wake-ups and tellings of changed jobs, once a statement.';

create or replace trigger procrastinate_jobs_qt_updated
    after update on procrastinate_jobs
    referencing old table as old_jobs new table as new_jobs
    for each statement
    when (queue_tasks_is_not_fetching_v1())
    execute function queue_tasks_jobs_updated_v1();

-- from sql/triggers/procrastinate_periodic_defers_qt_inserted.sql
-- procrastinate_periodic_defers_qt_inserted: after insert on procrastinate_periodic_defers, for each statement
-- A periodic defer names a job that exists, or none.
-- Called by  upstream's procrastinate_defer_periodic_job_v2
create or replace function queue_tasks_periodic_defers_inserted_v1() returns trigger
    language plpgsql
as $body$
declare
    v_jobs bigint[];
begin
    select array_agg(distinct n.job_id) into v_jobs from new_defers n where n.job_id is not null;
    if v_jobs is not null then
        perform queue_tasks_require_jobs_v1(v_jobs);
    end if;
    return null;
end
$body$;

comment on function queue_tasks_periodic_defers_inserted_v1() is 'Refuse periodic defers of jobs that do not exist.';

create or replace trigger procrastinate_periodic_defers_qt_inserted
    after insert on procrastinate_periodic_defers
    referencing new table as new_defers
    for each statement
    when (pg_trigger_depth() = 0)
    execute function queue_tasks_periodic_defers_inserted_v1();

-- from sql/triggers/procrastinate_periodic_defers_qt_updated.sql
-- procrastinate_periodic_defers_qt_updated: after update on procrastinate_periodic_defers, for each statement
-- A periodic defer names a job that exists, or none.
-- Called by  upstream's procrastinate_defer_periodic_job_v2
create or replace function queue_tasks_periodic_defers_updated_v1() returns trigger
    language plpgsql
as $body$
declare
    v_jobs bigint[];
begin
    select array_agg(distinct n.job_id) into v_jobs from new_defers n where n.job_id is not null;
    if v_jobs is not null then
        perform queue_tasks_require_jobs_v1(v_jobs);
    end if;
    return null;
end
$body$;

comment on function queue_tasks_periodic_defers_updated_v1() is 'Refuse periodic defers of jobs that do not exist.';

create or replace trigger procrastinate_periodic_defers_qt_updated
    after update on procrastinate_periodic_defers
    referencing new table as new_defers
    for each statement
    when (pg_trigger_depth() = 0)
    execute function queue_tasks_periodic_defers_updated_v1();

-- from sql/triggers/procrastinate_workers_qt_deleted.sql
-- procrastinate_workers_qt_deleted: after delete on procrastinate_workers, for each statement
-- A running job of a deleted worker names no worker any more, as by upstream's foreign key. Finished jobs keep the number
-- of the worker that ran them: upstream's key rewrote every job the worker had ever run. Nobody tells it of jobs any more.
-- Open pages look again.
-- Called by  every unregistering, ours or upstream's
-- Locks      the rows changed, by id, until commit
-- Writes     procrastinate_jobs, queue_tasks_listeners
-- Index      idx_procrastinate_jobs_worker_not_null
create or replace function queue_tasks_workers_deleted_v1() returns trigger
    language plpgsql
    set enable_seqscan = off
    set jit = off
as $body$
begin
    with stranded as materialized (
        select j.id
        from procrastinate_jobs j
        where j.worker_id = any (array(select o.id from old_workers o)) and j.status = 'doing'
        order by j.id
        for no key update
    )
    update procrastinate_jobs j set worker_id = null where j.id = any (array(select s.id from stranded s));
    delete from queue_tasks_listeners l where l.worker_id = any (array(select o.id from old_workers o));
    perform pg_notify('queue_tasks_workers', '');
    return null;
end
$body$;

comment on function queue_tasks_workers_deleted_v1() is 'Running jobs of a deleted worker name no worker any more.';

create or replace trigger procrastinate_workers_qt_deleted
    after delete on procrastinate_workers
    referencing old table as old_workers
    for each statement
    execute function queue_tasks_workers_deleted_v1();

-- from sql/triggers/procrastinate_workers_qt_inserted.sql
-- procrastinate_workers_qt_inserted: after insert on procrastinate_workers, for each statement
-- A stock procrastinate worker listens without saying so: it is told of every job. Open pages look again.
-- Called by  every registering, ours or upstream's
-- Writes     queue_tasks_listeners
create or replace function queue_tasks_workers_inserted_v1() returns trigger
    language plpgsql
as $body$
begin
    insert into queue_tasks_listeners (worker_id)
    select n.id from new_workers n where n.qt_name is null
    on conflict (worker_id) do nothing;
    perform pg_notify('queue_tasks_workers', '');
    return null;
end
$body$;

comment on function queue_tasks_workers_inserted_v1() is 'A stock worker is told of every job.';

create or replace trigger procrastinate_workers_qt_inserted
    after insert on procrastinate_workers
    referencing new table as new_workers
    for each statement
    execute function queue_tasks_workers_inserted_v1();

-- from sql/triggers/procrastinate_workers_qt_told.sql
-- procrastinate_workers_qt_told: after update of qt_told on procrastinate_workers, for each statement
-- Tells running workers that one of them was told something: it reads its own row. A heartbeat does not name the column.
-- Called by  queries/tell_worker.sql
create or replace trigger procrastinate_workers_qt_told
    after update of qt_told on procrastinate_workers
    for each statement
    execute function queue_tasks_tell_v1('queue_tasks_control');

-- from sql/triggers/queue_tasks_queues_changed.sql
-- queue_tasks_queues_changed: after every change of queue_tasks_queues, for each statement
-- Tells running workers that an operator has decided something: they look for jobs, and when a pause ends.
-- Called by  everything an operator does to queues
create or replace trigger queue_tasks_queues_changed
    after insert or delete or update on queue_tasks_queues
    for each statement
    execute function queue_tasks_tell_v1('queue_tasks_control');

-- from sql/triggers/queue_tasks_schedules_changed.sql
-- queue_tasks_schedules_changed: after insert, delete or update of revision on queue_tasks_schedules, for each row
-- Tells running workers that a schedule was added, changed or taken away; not that it ticked.
-- Called by  sync, and everything an operator does
create or replace trigger queue_tasks_schedules_changed
    after insert or delete or update of revision on queue_tasks_schedules
    for each row
    execute function queue_tasks_tell_v1('queue_tasks_schedules');
