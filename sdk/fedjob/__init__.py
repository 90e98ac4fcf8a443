"""Federated learning on Kubernetes as one resource."""

__version__ = "0.1.0"
