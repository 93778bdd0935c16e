-- periodic_defer(...) -> one row: id bigint, null when this tick was deferred before
-- Enqueue one tick of a procrastinate periodic task, once whatever the number of workers.
-- Called by  store.Store.defer_tick
select procrastinate_defer_periodic_job_v2(
    %(queue_name)s::varchar,
    %(lock)s::varchar,
    %(queueing_lock)s::varchar,
    %(task_name)s::varchar,
    %(priority)s::integer,
    %(periodic_id)s::varchar,
    %(timestamp)s::bigint,
    %(args)s::jsonb
) as id
