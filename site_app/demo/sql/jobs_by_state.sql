-- The jobs of each task by state, and how long one took (site_app/demo/measure.py).
select
    task_name,
    count(*) filter (where status = 'succeeded') as succeeded,
    count(*) filter (where status = 'failed') as failed,
    count(*) filter (where status not in ('succeeded', 'failed')) as other,
    avg(extract(epoch from qt_finished_at - qt_attempted_at)) as mean_seconds
from procrastinate_jobs
group by task_name
order by min(id);
