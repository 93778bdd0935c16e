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
