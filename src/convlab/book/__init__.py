"""The book of results: a static site that opens from a file, made only from what is committed."""
