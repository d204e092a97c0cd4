"""The pipeline's overhead: stages, trials in parallel, executors, many experiments."""
