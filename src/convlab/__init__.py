"""convlab: five lab reports on small-image CNNs, reproduced by a DVC and MLflow pipeline."""
