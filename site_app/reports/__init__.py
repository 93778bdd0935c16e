"""Reports: a slow reading of a big table, made by a job, downloaded when it is ready."""
