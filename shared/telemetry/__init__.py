"""What a process says about itself: logs and traces, neither of which holds personal data or secrets."""
