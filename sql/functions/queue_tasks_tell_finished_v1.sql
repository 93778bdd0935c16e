-- queue_tasks_tell_finished_v1(ids bigint[]) -> void
-- Tell those who wait for results that these jobs have finished: their ids separated by commas, or * when they are many.
-- Where nobody follows, nobody is told. A hint, as every notification: the row is the truth.
-- Called by  the triggers on procrastinate_jobs
create or replace function queue_tasks_tell_finished_v1(p_ids bigint[]) returns void
    language plpgsql
as $body$
declare
    v_told boolean;
begin
    -- Assigned, not performed: see queue_tasks_wake_queue_v1.
    if queue_tasks_is_followed_v1() then
        v_told := pg_notify('queue_tasks_finished', case when cardinality(p_ids) > 50 then '*' else array_to_string(p_ids, ',') end) is null;
    end if;
end
$body$;

comment on function queue_tasks_tell_finished_v1(bigint[]) is 'Tell those who wait for results that these jobs have finished.';
