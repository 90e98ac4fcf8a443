"""What the operator knows: observed objects, its record of each job, and the actions of a plan.

Values, and the cache that holds them. No calls to the API server and no decisions.
"""
