-- queue_tasks_require_workers_v1(ids bigint[]) -> void; ids: each once
-- Keep the promise of the foreign key that was from jobs to workers: each id names a registered worker, which stays so
-- until this transaction ends. Checked once a statement instead of once a row.
-- Called by  the triggers on procrastinate_jobs
-- Locks      the workers, by id, for key share, as the foreign key did
-- Raises     23503 (foreign_key_violation) a worker is not registered
create or replace function queue_tasks_require_workers_v1(p_ids bigint[]) returns void
    language plpgsql
    set enable_seqscan = off
    set jit = off
as $body$
declare
    v_found bigint[];
begin
    select array_agg(w.id) into v_found
    from (select w.id from procrastinate_workers w where w.id = any (p_ids) order by w.id for key share) w;
    if coalesce(cardinality(v_found), 0) < cardinality(p_ids) then
        raise exception 'procrastinate_jobs.worker_id: worker % is not registered in procrastinate_workers',
            (select min(i.id) from unnest(p_ids) i (id) where v_found is null or i.id <> all (v_found))
            using errcode = 'foreign_key_violation';
    end if;
end
$body$;

comment on function queue_tasks_require_workers_v1(bigint[]) is 'Refuse a job whose worker is not registered.';
