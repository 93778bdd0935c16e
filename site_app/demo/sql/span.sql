-- How many of these jobs are finished, and the seconds from the first one's enqueue to the last one's end
-- (site_app/demo/measure.py).
select count(qt_finished_at), extract(epoch from max(qt_finished_at) - min(qt_enqueued_at))
from procrastinate_jobs
where id = any(%(ids)s::bigint[]);
