"""What a Task may call, one module per service. Each says what happens to a call that was under way at a crash."""
