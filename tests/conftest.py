"""What every test gets: the leak checks of `tests/leaks.py`."""

pytest_plugins = ["tests.leaks"]
