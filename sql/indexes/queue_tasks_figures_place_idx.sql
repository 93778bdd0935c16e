-- queue_tasks_figures_place_idx: one row for a stretch of time and a queue, or for all queues
-- Called by  queries/record_figures.sql, queries/read_figures.sql
create unique index if not exists queue_tasks_figures_place_idx on queue_tasks_figures using btree (grain, queue_name, begins_at) nulls not distinct;
