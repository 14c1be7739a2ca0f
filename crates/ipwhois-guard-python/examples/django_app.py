"""The example app on Django.

`gunicorn django_app:wsgi`, `uvicorn --no-proxy-headers django_app:asgi`, `python django_app.py`.
"""

import os
import sys

from django.core.asgi import get_asgi_application
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "django_settings")

wsgi = get_wsgi_application()
asgi = get_asgi_application()

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
