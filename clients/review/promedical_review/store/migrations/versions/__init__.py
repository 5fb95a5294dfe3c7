"""One module per step; Alembic reads them by their `revision` and `down_revision`."""
