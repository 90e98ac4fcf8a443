"""What may be asked of tensors whatever model they are of: their dtypes, and finite values.

No names, no models, no user code here.
"""
