"""The ports of the server's pod."""

FL_PORT = 8002
"""The federation and the admin session, mTLS."""
HTTP_PORT = 8080
"""/status, /metrics and /healthz."""
