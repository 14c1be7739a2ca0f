"""The settings of the example app on Django."""

SECRET_KEY = "only for the example"
ALLOWED_HOSTS = ["*"]
DEBUG = False
ROOT_URLCONF = "django_views"
USE_TZ = True

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "ipwhois_guard.django",
]

MIDDLEWARE = [
    "ipwhois_guard.django.middleware.IpGuardMiddleware",
    "django.middleware.common.CommonMiddleware",
]

# The environment says the rest: IPWHOIS_GUARD_API_KEY, IPWHOIS_GUARD_TRUSTED_PROXIES and so on.
IPWHOIS_GUARD = {
    "protect": ["/admin"],
    "exempt": ["/metrics", "/guard/health"],
}

AUTHENTICATION_BACKENDS = ["example_backend.DemoBackend"]
