"""Users, their roles, passwords and sessions. It knows no cookie and no page."""
