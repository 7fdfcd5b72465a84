"""A folder that stands in for an object store: a job reads and writes it only through local copies, as it would S3."""

import os
import shutil
from pathlib import Path

from snakemake_interface_storage_plugins.io import Mtime
from snakemake_interface_storage_plugins.storage_object import StorageObjectRead, StorageObjectTouch, StorageObjectWrite
from snakemake_interface_storage_plugins.storage_provider import (
    ExampleQuery,
    QueryType,
    StorageProviderBase,
    StorageQueryValidationResult,
)

SCHEME = "bucket://"


class StorageProvider(StorageProviderBase):
    @classmethod
    def example_queries(cls):
        return [ExampleQuery(query=f"{SCHEME}tmp/a.txt", type=QueryType.ANY, description="/tmp/a.txt")]

    @classmethod
    def is_valid_query(cls, query):
        return StorageQueryValidationResult(
            query=query, valid=query.startswith(SCHEME), reason=f"it does not begin with {SCHEME}"
        )

    def rate_limiter_key(self, query, operation):
        return None

    def default_max_requests_per_second(self):
        return 0.0

    def use_rate_limiter(self):
        return False

    def list_objects(self, query):
        return ()


class StorageObject(StorageObjectRead, StorageObjectWrite, StorageObjectTouch):
    @property
    def place(self):
        return Path("/", self.query.removeprefix(SCHEME))

    def local_suffix(self):
        return self.query.removeprefix(SCHEME)

    async def inventory(self, cache):
        key = self.cache_key()
        cache.exists_in_storage[key] = self.exists()
        if self.exists():
            cache.mtime[key] = Mtime(storage=self.mtime())
            cache.size[key] = self.size()

    def get_inventory_parent(self):
        return None

    def cleanup(self):
        pass

    def exists(self):
        return self.place.exists()

    def mtime(self):
        return self.place.stat().st_mtime

    def size(self):
        return self.place.stat().st_size

    def local_footprint(self):
        return self.size()

    def retrieve_object(self):
        shutil.copy2(self.place, self.local_path())

    def store_object(self):
        self.place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(self.local_path(), self.place)

    def remove(self):
        self.place.unlink()

    def touch(self):
        os.utime(self.place)
