"""What every test gets: the leak checks, the clocks, the progress line, and hypothesis without a stopwatch."""

from hypothesis import settings

pytest_plugins = ["tests.leaks", "tests.real_time", "tests.virtual_time", "tests.progress"]

# A project of its own: tests/testing/test_sample_project.py runs its tests.
collect_ignore = ["sample_project"]

# How long an example takes depends on what else the machine does. Full runs try hypothesis' usual number of examples.
settings.register_profile("full", deadline=None)
settings.register_profile("quick", deadline=None, max_examples=25)
settings.load_profile("full")
