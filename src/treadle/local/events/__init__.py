"""What happens without a caller: schedules that come due, events that match a rule, and what they start."""
