-- queue_tasks_take_candidates_v1(ids bigint[], max_jobs bigint) -> bigint[]; null: none of them can be had
-- Of some jobs, those that are ready still and held by nobody else: the first max_jobs, highest priority first, then oldest.
-- Called by  queue_tasks_take_first_v1, queue_tasks_take_limited_v1, queue_tasks_take_merged_v1
-- Locks      the jobs returned, for update skip locked, until commit
-- Index      procrastinate_jobs_pkey
--
-- What it reads it must sort, which is shut for all other statements of a fetch. "is not distinct from": an index on the
-- jobs that are todo must not be walked for the sake of a few ids.
create or replace function queue_tasks_take_candidates_v1(p_ids bigint[], p_max_jobs bigint) returns bigint[]
    language plpgsql
    set enable_sort = on
as $body$
begin
    return (
        select array_agg(t.id)
        from (
            select j.id
            from procrastinate_jobs j
            where j.id = any (p_ids) and j.status is not distinct from 'todo' and j.scheduled_at is null
            order by j.priority desc, j.id
            limit p_max_jobs
            for update skip locked
        ) t
    );
end
$body$;

comment on function queue_tasks_take_candidates_v1(bigint[], bigint) is 'Of some jobs, the first that are ready still and held by nobody else.';
