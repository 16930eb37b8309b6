"""The facade: a call, how it is dialled, where its events go, and who owns its tasks."""
