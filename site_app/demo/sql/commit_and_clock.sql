-- Commit, and the database's own time right after it: sent as one, so nothing comes between (site_app/demo/measure.py).
commit;
select clock_timestamp();
