"""The servers of one machine as child processes: PostgreSQL, Valkey, RabbitMQ. For `make run`, `make stack`, tests and bench.

Linux only: children are tied to this process by the kernel (`PR_SET_PDEATHSIG`) and found again through /proc.
"""
