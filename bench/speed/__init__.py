"""Training speed, compared with other frameworks (`make bench`), and time to accuracy."""
