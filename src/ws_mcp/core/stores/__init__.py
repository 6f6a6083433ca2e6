"""Where the state is kept: a file of this machine, or a PostgreSQL database that servers of several machines share."""
