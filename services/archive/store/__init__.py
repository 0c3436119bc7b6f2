"""The archive's rows: functions over a connection, SQL in `queries.sql`."""
