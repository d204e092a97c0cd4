"""Augmentation of whole batches on the device: a file for each kind, `registry` with their names."""
