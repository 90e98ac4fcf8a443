"""From text or an object to a valid `FederatedJob`: parsing, cross-field rules, readable faults.

Only the spec is checked here; model files and shards are checked in `fedjob.workspace`.
"""
