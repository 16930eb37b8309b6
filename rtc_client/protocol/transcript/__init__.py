"""Who said what: entries made from events, their order, and their exports."""
