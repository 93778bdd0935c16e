-- enqueue_alike(...) -> ids bigint[], enqueued_at bigint; one row, the ids in the order of the jobs given,
-- and the time of the statement as microseconds since 1970
-- Insert many jobs that differ in arguments and lock only, in the caller's transaction.
-- args: the jobs' JSON texts as lines of one text, which costs a client a tenth of an array. locks: an array as long;
-- null when no job has one. run_after: null or a time past means ready at once.
-- trace: null, or the span that enqueues as {"trace": {"traceparent": ..., "tracestate": ...}}.
-- Called by  enqueue.enqueue_jobs
-- Writes     procrastinate_jobs; events and wake-ups by trigger, once a statement
with inserted as (
    insert into procrastinate_jobs (queue_name, task_name, priority, lock, args, scheduled_at, qt_ephemeral, qt_meta)
    select
        %(queue_name)s::text,
        %(task_name)s::text,
        %(priority)s::integer,
        j.lock,
        j.args::jsonb,
        case when %(run_after)s::timestamptz > statement_timestamp() then %(run_after)s::timestamptz end,
        %(ephemeral)s::boolean,
        case
            when %(run_after)s::timestamptz is null then %(trace)s::jsonb
            else coalesce(%(trace)s::jsonb, '{}') || jsonb_build_object('run_after', %(run_after)s::timestamptz)
        end
    from rows from (string_to_table(%(args)s::text, chr(10)), unnest(%(locks)s::text[]))
        with ordinality as j (args, lock, position)
    order by j.position
    returning id
)
select array_agg(i.id) as ids, (extract(epoch from statement_timestamp()) * 1000000)::bigint as enqueued_at
from inserted i
