-- queue_tasks_is_not_fetching_v1() -> boolean: false within a fetch, which writes its own events
-- Who may not change jobs, as a producer, may say that he fetches as he likes: he does not.
-- A function, and of this sense, so that the conditions of the triggers are short: Postgres reads them from their text in each
-- statement, and with this in one that took 5 us of a single enqueue. For each event of a fetch a call costs 0.2 us.
-- Called by  procrastinate_events_qt_inserted and procrastinate_jobs_qt_updated, in their conditions
create or replace function queue_tasks_is_not_fetching_v1() returns boolean
    language plpgsql stable
as $body$
begin
    return current_setting('queue_tasks.fetching', true) is distinct from 'on'
        or not has_table_privilege('procrastinate_jobs'::regclass, 'update');
end
$body$;

comment on function queue_tasks_is_not_fetching_v1() is 'Whether the session is not within a fetch, which writes its own events.';
