"""The public Python API: `store.Store`, opened by `holdfast.open`, and the fsspec filesystem."""
