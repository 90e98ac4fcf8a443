"""Aggregation strategies beside FedAvg: how a round's answers become the next global model.

One file for each: pure arithmetic on tensors. Which workers take part, when a round ends, and what
is committed is decided elsewhere in the job process.
"""
