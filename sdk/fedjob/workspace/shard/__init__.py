"""Shard ZIPs and their manifests: inspect, unpack, pack.

The only part of the workspace that the runtime may import (docs/contributing/decisions/003).
"""
