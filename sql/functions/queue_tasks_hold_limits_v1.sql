-- queue_tasks_hold_limits_v1(queues text[]) -> rows: queue_name text, room bigint; only queues that have room
-- How many jobs of these queues, which have a limit, may be started now. Until commit nobody else can start any: whoever
-- wants to holds the queue's row, and counts after that. A queue that is full is not waited for, nor one whose row somebody
-- keeps for a tenth of a second: the end of a job, and every change of the row, wakes workers to look again.
-- Called by  queue_tasks_fetch_jobs_v1
-- Locks      the rows of the queues that seem to have room, for no key update, by name, until commit
create or replace function queue_tasks_hold_limits_v1(p_queues text[])
    returns table (queue_name text, room bigint)
    language plpgsql
    set lock_timeout = '100ms'
as $body$
#variable_conflict use_column
declare
    v_open text[];
    v_held text[];
    v_queue text;
begin
    select array_agg(q.queue_name order by q.queue_name) into v_open
    from queue_tasks_queues q
    join queue_tasks_count_running_v1(p_queues) c on c.queue_name = q.queue_name
    where c.running < q.concurrency;

    -- By name, so that two fetches which want several never wait for each other.
    foreach v_queue in array coalesce(v_open, '{}') loop
        perform from queue_tasks_queues q where q.queue_name = v_queue for no key update skip locked;
        if not found then
            -- Somebody fetches from it, which takes no longer than this takes us; or changes it, for as long as he likes.
            begin
                perform from queue_tasks_queues q where q.queue_name = v_queue for no key update;
            exception when lock_not_available then
                continue;
            end;
        end if;
        v_held := v_held || v_queue;
    end loop;

    return query
    select q.queue_name, q.concurrency - c.running
    from queue_tasks_queues q
    join queue_tasks_count_running_v1(v_held) c on c.queue_name = q.queue_name
    where c.running < q.concurrency and (q.paused_until > clock_timestamp()) is not true
    order by q.queue_name;
end
$body$;

comment on function queue_tasks_hold_limits_v1(text[]) is 'How many jobs of queues with a limit may be started now; nobody else can until commit.';
