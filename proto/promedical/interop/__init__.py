"""What RL frameworks hand out, read: chat markup, exchanges, labels. Knows no framework by import."""
