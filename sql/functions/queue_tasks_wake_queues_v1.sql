-- queue_tasks_wake_queues_v1(queues text[]) -> void
-- Tell workers that these queues have jobs to fetch: one notification for each queue, one for workers of all queues.
-- The payload is constant, so that Postgres folds the notifications of one transaction, and is one that stock
-- procrastinate workers understand. A queue whose channel name would pass Postgres' 63 bytes has no channel of its own:
-- workers of such a queue listen to the one for all.
-- Called by  the triggers on procrastinate_jobs
create or replace function queue_tasks_wake_queues_v1(p_queues text[]) returns void
    language plpgsql
as $body$
begin
    perform pg_notify('procrastinate_queue_v1#' || q.name, '{"type": "job_inserted", "job_id": 0}')
    from unnest(p_queues) q (name)
    where octet_length(q.name) <= 40;
    perform pg_notify('procrastinate_any_queue_v1', '{"type": "job_inserted", "job_id": 0}');
end
$body$;

comment on function queue_tasks_wake_queues_v1(text[]) is 'Tell workers that these queues have jobs to fetch.';
