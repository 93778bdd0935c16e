"""The database objects we own: their files, whether they are installed as written, and their repair.

What comes in is a Django connection to the database the jobs live in. The living files in sql/ say how things should
be; the catalogs say how they are.
"""

from queue_tasks.schema.catalogs import status
from queue_tasks.schema.files import REPLACED, replaced, wanted
from queue_tasks.schema.migrating import is_migrated, run_sql_file
from queue_tasks.schema.objects import WRONG, Kind, SchemaObject, State, Wanted
from queue_tasks.schema.repairs import repair

__all__ = [
    "REPLACED",
    "WRONG",
    "Kind",
    "SchemaObject",
    "State",
    "Wanted",
    "is_migrated",
    "repair",
    "replaced",
    "run_sql_file",
    "status",
    "wanted",
]
