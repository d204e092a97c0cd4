"""convlab: five lab reports on small-image CNNs, reproduced by a DVC and MLflow pipeline."""

__version__ = "0.1.0"
