-- end_change(id, job_ids, before, after) -> one row: id bigint
-- Write down what was changed, in the transaction that began it.
-- Called by  dashboard.changes.end
update queue_tasks_changes
set job_ids = %(job_ids)s::bigint[], before = %(before)s::jsonb, after = %(after)s::jsonb
where id = %(id)s::bigint
returning id
