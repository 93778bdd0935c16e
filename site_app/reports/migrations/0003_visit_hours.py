from pathlib import Path

from django.db import migrations, models

from site_app.sql import read_sql

SQL = Path(__file__).parent.parent / "sql"


class Migration(migrations.Migration):
    dependencies = (("reports", "0002_functions"),)
    operations = (
        migrations.CreateModel(
            name="VisitHour",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("hour", models.DateTimeField()),
                ("path", models.TextField()),
                ("visits", models.IntegerField()),
                ("visitors", models.IntegerField()),
                ("median_ms", models.IntegerField()),
                ("slow_ms", models.IntegerField()),
            ],
            options={"constraints": [models.UniqueConstraint(fields=("hour", "path"), name="reports_visithour_once")]},
        ),
        # It now leaves the visits of today alone, which are real.
        migrations.RunSQL(read_sql(SQL / "reports_fill_visits.sql"), reverse_sql=migrations.RunSQL.noop),
    )
