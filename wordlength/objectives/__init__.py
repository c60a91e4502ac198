"""What one candidate costs: intelligibility and memory."""
