-- periodic_defer(...) -> 0 or 1 row: id bigint; null, or no row, when this tick was deferred before
-- Enqueue one tick of a procrastinate periodic task, once whatever the number of workers.
-- Upstream forgets the ticks before the newest: a worker that lags behind the others must not enqueue them again.
-- Called by  store.ScheduleStore.defer_tick
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
where not exists (
    select from procrastinate_periodic_defers d
    where d.task_name = %(task_name)s::varchar
        and d.periodic_id = %(periodic_id)s::varchar
        and d.defer_timestamp > %(timestamp)s::bigint
)
