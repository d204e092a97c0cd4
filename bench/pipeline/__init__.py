"""What the pipeline costs around the training: stages, sweeps side by side, executors, many experiments."""
