"""Echo control: canceller, half duplex, detection."""
