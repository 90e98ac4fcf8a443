# Run by the operator's init container: creates the embedded store's bucket.
import os
import sys

from fedjob.errors import FedjobError
from fedjob.protocol.config import StoreLocation
from fedjob.storage.bucket import Bucket
from fedjob_operator.settings import read_settings

settings = read_settings(os.environ)
location = StoreLocation(
    endpoint=settings.store_endpoint,
    region=settings.store_region,
    bucket=settings.store_bucket,
)
try:
    # The store may still be starting. After 10 attempts, the kubelet restarts the container.
    with Bucket(location, attempts=10) as bucket:
        bucket.ensure_bucket()
except FedjobError as error:
    sys.exit(str(error))
