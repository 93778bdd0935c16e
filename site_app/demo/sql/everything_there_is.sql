-- How much there is of everything an upload writes, and the last job id that was given out, used or not
-- (site_app/demo/proofs.py).
select
    (select count(*) from photos_photo) as photos,
    (select count(*) from photos_step) as steps,
    (select count(*) from procrastinate_jobs) as jobs,
    (select count(*) from procrastinate_events) as events,
    (select last_value from procrastinate_jobs_id_seq) as last_id;
