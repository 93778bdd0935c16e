-- note_listener(worker_id, queues, asleep) -> 0 or 1 row: listeners bigint; no row: the worker is not registered any more
-- Say whether a worker that listens sleeps and is to be told of jobs; with how many others, itself included, it serves its
-- queues. Rows of workers that are gone go too; those of stock workers, which a crash of the server empties the table of, are
-- there before anybody can be silent.
-- Called by  store.WorkerStore.note_listener
-- Writes     queue_tasks_listeners
with gone as (
    delete from queue_tasks_listeners
    where worker_id = any (array(
        select l.worker_id
        from queue_tasks_listeners l
        where not exists (select from procrastinate_workers w where w.id = l.worker_id)
        for update skip locked
    ))
),
stock as (
    insert into queue_tasks_listeners (worker_id)
    select w.id from procrastinate_workers w where w.qt_name is null and w.id <> %(worker_id)s::bigint
    on conflict (worker_id) do nothing
)
insert into queue_tasks_listeners (worker_id, queues, asleep)
select w.id, %(queues)s::text[], %(asleep)s::boolean
from procrastinate_workers w
where w.id = %(worker_id)s::bigint
on conflict (worker_id) do update set queues = excluded.queues, asleep = excluded.asleep
returning 1 + (
    select count(*)
    from queue_tasks_listeners l
    where l.worker_id <> %(worker_id)s::bigint
        and (l.queues is null or %(queues)s::text[] is null or l.queues && %(queues)s::text[])
) as listeners
