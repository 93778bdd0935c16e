"""What lets Django's own tests of its task framework run against our backend; used by tools/conformance_django.py."""
