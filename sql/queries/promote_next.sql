-- promote_next(queues) -> 0 or 1 row: id bigint
-- Make ready, before its time, the job that is scheduled next in some queues (null: in all). For tests, which do not wait.
-- Called by  testing.inline.InlineWorker.promote_next
-- Locks      the row changed, until commit
update procrastinate_jobs j
set scheduled_at = null
where j.id = (
    select n.id
    from procrastinate_jobs n
    where n.status = 'todo' and n.scheduled_at < queue_tasks_parked_until_v1()
        and (%(queues)s::text[] is null or n.queue_name = any (%(queues)s::text[]))
    order by n.scheduled_at, n.priority desc, n.id
    limit 1
    for update skip locked
)
returning j.id
