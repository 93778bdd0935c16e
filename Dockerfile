# The reference site: web server, workers and migrations run from this one image (docker-compose.yml).
FROM python:3.13-slim

ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore

# An ordinary user: nothing here needs root.
RUN useradd --create-home --uid 10001 app \
    && mkdir -p /app /data/media \
    && chown -R app:app /app /data
WORKDIR /app

# What changes seldom first, so that a change to the code does not install everything again.
COPY pyproject.toml README.md LICENSE ./
COPY queue_tasks ./queue_tasks
COPY sql ./sql
RUN pip install --no-cache-dir ".[site]"

# The library is read from site-packages, as a user's project would have it.
RUN rm -rf queue_tasks sql
COPY --chown=app:app manage.py ./
COPY --chown=app:app site_app ./site_app

USER app
EXPOSE 8000
CMD ["python", "-m", "site_app.web", "--host", "0.0.0.0", "--port", "8000"]
