-- procrastinate_workers_qt_deleted: after delete on procrastinate_workers, for each statement
-- A running job of a deleted worker names no worker any more, as by upstream's foreign key. Finished jobs keep the number
-- of the worker that ran them: upstream's key rewrote every job the worker had ever run. Nobody tells it of jobs any more.
-- Open pages look again.
-- Called by  every unregistering, ours or upstream's
-- Locks      the rows changed, by id, until commit
-- Writes     procrastinate_jobs, queue_tasks_listeners
-- Index      idx_procrastinate_jobs_worker_not_null
create or replace function queue_tasks_workers_deleted_v1() returns trigger
    language plpgsql
    set enable_seqscan = off
    set jit = off
as $body$
begin
    with stranded as materialized (
        select j.id
        from procrastinate_jobs j
        where j.worker_id = any (array(select o.id from old_workers o)) and j.status = 'doing'
        order by j.id
        for no key update
    )
    update procrastinate_jobs j set worker_id = null where j.id = any (array(select s.id from stranded s));
    delete from queue_tasks_listeners l where l.worker_id = any (array(select o.id from old_workers o));
    perform pg_notify('queue_tasks_workers', '');
    return null;
end
$body$;

comment on function queue_tasks_workers_deleted_v1() is 'Running jobs of a deleted worker name no worker any more.';

create or replace trigger procrastinate_workers_qt_deleted
    after delete on procrastinate_workers
    referencing old table as old_workers
    for each statement
    execute function queue_tasks_workers_deleted_v1();
