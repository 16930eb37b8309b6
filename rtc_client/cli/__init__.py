"""The `rtc-client` command, one file per verb; heavy imports happen inside the verb."""
