"""What pip installs for a model: requirements as text, and whether this Python has them.

Not here: running pip.
"""
