"""PostgreSQL: pools, named queries, migrations. One schema and one role per service."""
