"""The study file: its keys and what they refuse, whether it still is the one that was begun, and writing a new one."""
