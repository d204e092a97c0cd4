"""The book of results: a static site that opens from a file, made from what is committed and nothing else."""
