"""Small tools over the standard library and hash functions. Knows nothing of storage."""
