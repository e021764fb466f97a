"""Event and plan -> journal entries and commands. Pure, sans-IO."""
