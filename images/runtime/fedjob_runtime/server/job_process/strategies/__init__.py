"""Aggregation strategies beside FedAvg: how a round's answers become the next global model.

One file for each: pure arithmetic on tensors. What does not belong here: which workers take part,
when a round ends, and what is committed.
"""
