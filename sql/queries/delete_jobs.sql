-- delete_jobs(ids) -> id bigint; the jobs deleted
-- Delete jobs that do not run, with their history. Running ones stay: abort them first.
-- Called by  control.delete
-- Locks      the rows deleted, by id, until commit
with held as materialized (
    select j.id
    from procrastinate_jobs j
    where j.id = any (%(ids)s::bigint[]) and j.status <> all (array['doing', 'aborting']::procrastinate_job_status[])
    order by j.id
    for update
)
delete from procrastinate_jobs j
where j.id = any (array(select h.id from held h))
returning j.id
