-- queue_tasks_wake_queues_v1(queues text[]) -> void; queues: each once
-- Tell workers that these queues have jobs to fetch: see queue_tasks_wake_queue_v1.
-- Called by  the triggers on procrastinate_jobs
create or replace function queue_tasks_wake_queues_v1(p_queues text[]) returns void
    language plpgsql
as $body$
declare
    v_queue text;
    v_woken boolean;
begin
    foreach v_queue in array p_queues loop
        -- Assigned, not performed: see queue_tasks_wake_queue_v1.
        v_woken := queue_tasks_wake_queue_v1(v_queue) is null;
    end loop;
end
$body$;

comment on function queue_tasks_wake_queues_v1(text[]) is 'Tell workers that these queues have jobs to fetch.';
