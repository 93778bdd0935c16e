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
