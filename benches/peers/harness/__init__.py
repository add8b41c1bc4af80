"""The comparison of readstates with a peer in Go, with Redis and with PostgreSQL."""
