"""The whole site, left running: Postgres, the web server, one worker. Ctrl-C ends it.

Usage         python -m site_app.run      (make run)
Environment   PORT (default 8000), HOST (default 127.0.0.1), and everything in settings.py
"""

import os
import sys

from site_app.embedded_postgres import EmbeddedPostgresError, database_url
from site_app.processes import ProgramError, Programs, listen_on, migrate, start_web, start_worker, stopped_by_signals


def main() -> int:
    """Run until Ctrl-C; returns the exit code."""
    host, port = os.environ.get("HOST", "127.0.0.1"), int(os.environ.get("PORT", "8000"))
    try:
        with stopped_by_signals(), Programs() as programs, listen_on(host, port) as listener:
            own = {
                "DJANGO_SETTINGS_MODULE": "site_app.settings",
                "DATABASE_URL": database_url(),
                "PYTHONUNBUFFERED": "1",
            }
            env = {**os.environ, **own}
            print("Bringing the database up to date ...", flush=True)
            migrate(env)
            start_worker(programs, env)
            start_web(programs, listener, env)
            print(f"\n  The site: http://{host}:{listener.getsockname()[1]}/\n  Ctrl-C ends it.\n", flush=True)
            programs.wait()
    except KeyboardInterrupt:
        print("\nStopped.")
    except (ProgramError, EmbeddedPostgresError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
