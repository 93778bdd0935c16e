-- queue_tasks_some_lock_free_v1() -> boolean
-- Whether any job with a lock is ready whose lock nobody holds; so it says, too, where very many locks are held.
-- Called by  queue_tasks_free_heads_v1, by whose settings it is planned
-- Index      procrastinate_jobs_qt_locked_idx, procrastinate_jobs_lock_idx_v1
--
-- All are held if the first one and the last one are, and between no two that follow each other in the line of those held
-- stands another: a probe for each lock held, however many jobs wait behind it.
create or replace function queue_tasks_some_lock_free_v1() returns boolean
    language plpgsql
as $body$
declare
    c_many constant integer := 500;
begin
    return not exists (
        select from procrastinate_jobs b
        where b.status = 'doing' and b.lock is not null and b.lock = (
            select j.lock from procrastinate_jobs j
            where j.lock is not null and j.status = 'todo' and j.scheduled_at is null
            order by j.lock, j.priority desc, j.id limit 1
        )
    ) or not exists (
        select from procrastinate_jobs b
        where b.status = 'doing' and b.lock is not null and b.lock = (
            select j.lock from procrastinate_jobs j
            where j.lock is not null and j.status = 'todo' and j.scheduled_at is null
            order by j.lock desc, j.priority, j.id desc limit 1
        )
    ) or exists (
        select
        from (
            select h.lock, lead(h.lock) over (order by h.lock) as next, row_number() over (order by h.lock) as number
            from (
                select b.lock from procrastinate_jobs b
                where b.status = 'doing' and b.lock is not null
                order by b.lock
                limit c_many
            ) h
        ) held
        where held.number = c_many or (
            select j.id from procrastinate_jobs j
            where j.lock > held.lock and j.lock < held.next and j.status = 'todo' and j.scheduled_at is null
            order by j.lock, j.priority desc, j.id limit 1
        ) is not null
    );
end
$body$;

comment on function queue_tasks_some_lock_free_v1() is 'Whether any job with a lock is ready whose lock nobody holds.';
