-- queue_tasks_some_lock_free_v1() -> boolean
-- Whether any job with a lock is ready whose lock nobody holds; so it says, too, where very many locks are held.
-- Called by  queue_tasks_free_heads_v1, by whose settings it is planned
-- Index      procrastinate_jobs_qt_locked_idx, procrastinate_jobs_lock_idx_v1
--
-- All are held if nobody waits before the first lock held, nor behind the last, nor between two that follow each other in their
-- line: a probe for each lock held, however many jobs wait behind it.
create or replace function queue_tasks_some_lock_free_v1() returns boolean
    language plpgsql
as $body$
declare
    c_many constant integer := 500;
    v_held constant text[] := array(
        select b.lock from procrastinate_jobs b where b.status = 'doing' and b.lock is not null order by b.lock limit c_many
    );
    v_last constant integer := cardinality(v_held);
begin
    return v_last = 0 or v_last = c_many
        or (
            select j.id from procrastinate_jobs j
            where j.lock < v_held[1] and j.status = 'todo' and j.scheduled_at is null
            order by j.lock, j.priority desc, j.id limit 1
        ) is not null
        or (
            select j.id from procrastinate_jobs j
            where j.lock > v_held[v_last] and j.status = 'todo' and j.scheduled_at is null
            order by j.lock, j.priority desc, j.id limit 1
        ) is not null
        or exists (
            select
            from unnest(v_held[:v_last - 1], v_held[2:]) h (lock, next)
            where (
                select j.id from procrastinate_jobs j
                where j.lock > h.lock and j.lock < h.next and j.status = 'todo' and j.scheduled_at is null
                order by j.lock, j.priority desc, j.id limit 1
            ) is not null
        );
end
$body$;

comment on function queue_tasks_some_lock_free_v1() is 'Whether any job with a lock is ready whose lock nobody holds.';
