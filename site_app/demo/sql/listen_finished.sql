-- Hear which jobs have finished (site_app/demo/measure.py).
listen queue_tasks_finished;
select queue_tasks_follow_v1();
