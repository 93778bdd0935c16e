-- vacuum() -> no rows
-- Statistics and a visibility map, as a table in use has them.
-- Called by  benchmarks.contestants
vacuum (analyze) procrastinate_jobs
