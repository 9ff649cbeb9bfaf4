"""The application for Celery's own tools, with the broker of the environment: `celery -A flexwork inspect active`."""

from flexserve.settings import ServiceSettings, load

from flexwork.broker import celery_app

app = celery_app(load(ServiceSettings), "tools")
