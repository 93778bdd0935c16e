-- create_database(database, template) -> no rows; names, put in by psycopg
-- A database of its own for each queue, and a copy of a loaded one for each turn that changes it.
-- Called by  benchmarks.server
create database {database} template {template}
