"""The Kubernetes API as the operator uses it: client, leader election, event recorder.

Every call to the API server is made here. Nothing is decided here: what to write comes from
`planning`, when to write it from `controller`.
"""
