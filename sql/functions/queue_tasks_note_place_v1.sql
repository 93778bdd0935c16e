-- queue_tasks_note_place_v1(queue text, first bigint, began timestamp with time zone) -> void
-- Remember, for this session, where a costly look found its first job, for fifty times as long as it took and at most two
-- seconds: see queue_tasks_fetch_jobs_v1.
-- queue: the one looked into. first: the job. began: when the look did.
-- Called by  queue_tasks_fetch_jobs_v1
create or replace function queue_tasks_note_place_v1(p_queue text, p_first bigint, p_began timestamp with time zone) returns void
    language plpgsql
as $body$
begin
    perform set_config('queue_tasks.place', jsonb_build_object(
        'until', clock_timestamp() + least(50 * (clock_timestamp() - p_began), interval '2 seconds'),
        'queue', p_queue,
        'priority', (select j.priority from procrastinate_jobs j where j.id = p_first),
        'id', p_first,
        'newest', (select s.last_value from procrastinate_jobs_id_seq s)
    )::text, false);
end
$body$;

comment on function queue_tasks_note_place_v1(text, bigint, timestamp with time zone) is 'Remember where a costly look found its first job.';
