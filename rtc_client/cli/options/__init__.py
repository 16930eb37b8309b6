"""What is typed: the options of each verb."""
