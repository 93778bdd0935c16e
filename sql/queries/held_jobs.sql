-- held_jobs(ids) -> id bigint; those whose rows another session holds at this moment
-- Called by  store.JobStore.held_jobs
-- Locks      the other rows, by id, for the moment of the statement
-- Index      procrastinate_jobs_pkey
with free as materialized (
    select id from procrastinate_jobs where id = any (%(ids)s::bigint[]) order by id for update skip locked
)
select j.id from procrastinate_jobs j where j.id = any (%(ids)s::bigint[]) and j.id not in (select f.id from free f)
