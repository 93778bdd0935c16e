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
