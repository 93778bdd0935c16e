-- queue_tasks_take_queueing_locks_v1(ids bigint[], queueing_locks text[]) -> void; arrays of one length, or null
-- Give jobs that have just come back into their line the queueing locks they came with. One whose lock a waiting twin has
-- goes on without it; of several with one lock, the first has it. The caller has written the jobs without them.
-- Called by  queue_tasks_finish_jobs_v1, queue_tasks_reclaim_jobs_v1, queue_tasks_rescue_jobs_v1, queue_tasks_retry_jobs_v1
-- Writes     procrastinate_jobs
-- Locks      the queueing locks, in the order of their names, until commit
-- Index      procrastinate_jobs_pkey, procrastinate_jobs_queueing_lock_idx_v1
--
-- All rows have been locked before, so that nobody waits for a row while he holds a queueing lock: together with the order
-- of the names, nobody waits in a circle.
create or replace function queue_tasks_take_queueing_locks_v1(p_ids bigint[], p_queueing_locks text[]) returns void
    language plpgsql
    set enable_seqscan = off
    set jit = off
as $body$
declare
    v_job record;
begin
    for v_job in
        select b.id, b.queueing_lock
        from unnest(p_ids, p_queueing_locks) b (id, queueing_lock)
        order by b.queueing_lock, b.id
    loop
        begin
            update procrastinate_jobs j
            set queueing_lock = v_job.queueing_lock
            where j.id = v_job.id
                and not exists (
                    select from procrastinate_jobs t where t.queueing_lock = v_job.queueing_lock and t.status = 'todo'
                );
        exception when unique_violation then
            -- The twin was being enqueued at this moment.
            null;
        end;
    end loop;
end
$body$;

comment on function queue_tasks_take_queueing_locks_v1(bigint[], text[]) is 'Give jobs that come back the queueing locks that no twin has.';
