from pathlib import Path

from django.db import migrations

from site_app.sql import create

SQL = Path(__file__).parent.parent / "sql"


class Migration(migrations.Migration):
    dependencies = (("photos", "0001_initial"),)
    operations = (create(SQL / "photos_notify.sql"),)
