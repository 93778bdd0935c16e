-- list_changes(before_id, job_id, user_id, max_changes) -> 0..max_changes rows, as dashboard.changes.ChangeLine
-- What people did on the dashboard, newest first; with a job_id, only what they did to it, and with a
-- user_id only what that one did, among the newest ten thousand.
-- before_id: only older ones: the next page
-- Called by  dashboard.changes.listed
-- Index      queue_tasks_changes_pkey
select
    c.id,
    c.made_at,
    c.user_id,
    c.user_name,
    c.address,
    c.action,
    c.target,
    c.job_ids[1:20] as job_ids,
    coalesce(cardinality(c.job_ids), 0) as jobs,
    left(c.before::text, 500) as before,
    left(c.after::text, 500) as after
from (
    select id, made_at, user_id, user_name, address, action, target, job_ids, before, after
    from queue_tasks_changes
    where %(before_id)s::bigint is null or id < %(before_id)s::bigint
    order by id desc
    limit case
        when %(job_id)s::bigint is null and %(user_id)s::text is null then %(max_changes)s::bigint
        else 10000
    end
) c
where (%(job_id)s::bigint is null or %(job_id)s::bigint = any (c.job_ids))
    and (%(user_id)s::text is null or c.user_id = %(user_id)s::text)
order by c.id desc
limit %(max_changes)s::bigint
