-- pause_queue(name, until, wait, by) -> 0 or 1 row: name text; no row: that time is past, by this clock
-- Have no worker fetch jobs of a queue, until a time, or for so many seconds; both null: until it is resumed. Of a queue
-- that is paused already it takes the place of what was said before.
-- Called by  control.pause_queue
-- Locks      the queue's row, until commit: a fetch that has begun is waited for where the queue has a limit
with asked as (
    select coalesce(
        %(until)s::timestamp with time zone,
        clock_timestamp() + make_interval(secs => %(wait)s::double precision),
        'infinity'
    ) as paused_until
)
insert into queue_tasks_queues (queue_name, paused_until, paused_at, paused_by)
select %(name)s::text, a.paused_until, clock_timestamp(), %(by)s::text
from asked a
where a.paused_until > clock_timestamp()
on conflict (queue_name) do update
set paused_until = excluded.paused_until, paused_at = excluded.paused_at, paused_by = excluded.paused_by
returning queue_name as name
