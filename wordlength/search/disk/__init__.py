"""What lies in a project's folder: shown, removed, packed into one file and unpacked elsewhere."""
