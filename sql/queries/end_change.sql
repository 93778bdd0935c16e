-- end_change(id, job_ids, before, after) -> one row: id bigint, and nothing
-- Write down what was changed, in the transaction that began it, and have open pages look again.
-- Called by  dashboard.changes.end
update queue_tasks_changes
set job_ids = %(job_ids)s::bigint[], before = %(before)s::jsonb, after = %(after)s::jsonb
where id = %(id)s::bigint
returning id, pg_notify('queue_tasks_changes', '')
