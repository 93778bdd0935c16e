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
