from pathlib import Path

from django.db import migrations

from site_app.sql import create

SQL = Path(__file__).parent.parent / "sql"


class Migration(migrations.Migration):
    dependencies = (("reports", "0001_initial"),)
    operations = (create(SQL / "reports_notify.sql"), create(SQL / "reports_fill_visits.sql"))
