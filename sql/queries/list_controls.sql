-- list_controls() -> one row for each queue that is paused now or limited, by name, as overview.QueueControl
-- A pause beyond the times that Python can hold counts as one for good.
-- Called by  overview.list_controls
select
    q.queue_name,
    q.paused_until > clock_timestamp() is true as paused,
    case when q.paused_until > clock_timestamp() and q.paused_until < '9999-01-01Z' then q.paused_until end as paused_until,
    case
        when q.paused_until > clock_timestamp() and q.paused_until < '9999-01-01Z'
        then extract(epoch from q.paused_until - clock_timestamp())::double precision
    end as resumes_in,
    case when q.paused_at between '0002-01-01Z' and '9998-01-01Z' then q.paused_at end as paused_at,
    q.paused_by,
    q.concurrency
from queue_tasks_queues q
where q.paused_until > clock_timestamp() or q.concurrency is not null
order by q.queue_name
