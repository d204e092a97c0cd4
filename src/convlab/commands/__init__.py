"""What each command of `convlab` does, and what it prints; cli.py has the parser."""
