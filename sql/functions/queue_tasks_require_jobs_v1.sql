-- queue_tasks_require_jobs_v1(ids bigint[]) -> void; ids: each once
-- Keep the promise of the foreign keys that were from events and periodic defers to jobs: each id names a job, which is
-- not deleted until this transaction ends.
-- Called by  the triggers on procrastinate_events and procrastinate_periodic_defers
-- Locks      the jobs, by id, for key share, as the foreign keys did
-- Raises     23503 (foreign_key_violation) a job does not exist
create or replace function queue_tasks_require_jobs_v1(p_ids bigint[]) returns void
    language plpgsql
    set enable_seqscan = off
    set jit = off
as $body$
declare
    v_found bigint[];
begin
    select array_agg(j.id) into v_found
    from (select j.id from procrastinate_jobs j where j.id = any (p_ids) order by j.id for key share) j;
    if coalesce(cardinality(v_found), 0) < cardinality(p_ids) then
        raise exception 'job % does not exist in procrastinate_jobs',
            (select min(i.id) from unnest(p_ids) i (id) where v_found is null or i.id <> all (v_found))
            using errcode = 'foreign_key_violation';
    end if;
end
$body$;

comment on function queue_tasks_require_jobs_v1(bigint[]) is 'Refuse a reference to a job that does not exist.';
