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
