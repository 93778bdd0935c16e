-- finish_atomic(mark, worker_id, id, lease, result, started_ago, keep) -> one row: mark text, status text
-- Write the success of one job in the transaction of its body, under its fence. status null: the job is no longer ours.
-- mark other than the one given: this is not the transaction that was marked, and nothing is written.
-- Called by  worker.atomic.perform
-- Locks      the job's row, until the body's transaction ends
with transaction as materialized (
    select current_setting('queue_tasks.attempt', true) as mark
)
select
    t.mark,
    (
        select f.status
        from queue_tasks_finish_jobs_v1(
            %(worker_id)s::bigint,
            case when t.mark = %(mark)s::text then array[%(id)s::bigint] end,
            array[%(lease)s::bigint],
            array['succeeded'],
            array[%(result)s::text],
            null,
            array[%(started_ago)s::double precision],
            array[0::double precision],
            null,
            null,
            array[%(keep)s::double precision],
            null,
            null,
            null
        ) f
    ) as status
from transaction t
