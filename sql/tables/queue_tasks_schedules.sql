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
