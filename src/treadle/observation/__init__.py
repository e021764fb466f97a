"""What can be seen of a server from outside: its health, its metrics, its executions as they run."""
