-- resume_queue(name) -> 0 or 1 row: name text; no row: it was not paused
-- Have workers fetch jobs of a queue again.
-- Called by  control.resume_queue
update queue_tasks_queues
set paused_until = null
where queue_name = %(name)s::text and paused_until > clock_timestamp()
returning queue_name as name
