"""What every test gets: the leak checks of `tests/leaks.py`."""

pytest_plugins = ["tests.leaks", "tests.real_time", "tests.virtual_time", "tests.progress"]

# A project of its own: tests/testing/test_sample_project.py runs its tests.
collect_ignore = ["sample_project"]
