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
