"""What fedjob adds to NVFlare's server parent process.

Runs inside NVFlare's process. No S3 and no torch.
"""
