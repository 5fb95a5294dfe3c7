"""Where everything is kept: tables, migrations, transactions, and the log of events. It knows no rule of the work."""
