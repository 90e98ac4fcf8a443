"""Generators on the models: the CustomResourceDefinition and the field reference.

Nothing here is imported when a job runs.
"""
