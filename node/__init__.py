"""The process: sockets, files, time and people around the sans-I/O cores."""
