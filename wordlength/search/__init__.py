"""Who is tried next, where it runs, where it is recorded."""
