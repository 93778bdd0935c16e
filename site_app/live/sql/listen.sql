-- Every channel the site's pages live from. One connection per process sends this once (site_app/live/listener.py).
listen site_photos;
listen site_reports;
-- From queue_tasks: the ids of jobs that have finished, or * when they are many; the id of a job that tells its progress.
listen queue_tasks_finished;
listen queue_tasks_progress;
-- It tells of them while somebody follows.
select queue_tasks_follow_v1();
