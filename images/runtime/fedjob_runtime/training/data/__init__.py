"""A shard as data: manifest samples, image files, downloads and decoding.

Nothing here knows the model or the round.
"""
