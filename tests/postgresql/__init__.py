"""Django's backend for PostgreSQL, as the tests' databases use it."""
