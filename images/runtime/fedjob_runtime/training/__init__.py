"""What runs the user's code: loading it, calling it in each of its forms, checking what it returns.

Here: plain torch. The model and its weights, the three forms of training functions (CONTRACT
section 1), evaluation, the images of a shard. Not here: nvflare, the network to the server, S3 and
the rounds; the executor and the persistor call this package.
"""
