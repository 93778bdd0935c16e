-- drop_database(database) -> no rows; names, put in by psycopg
-- Takes a database away with whoever is connected to it.
-- Called by  benchmarks.server
drop database if exists {database} with (force)
