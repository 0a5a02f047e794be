"""One suite for every engine: the contract of `holdfast.engines.api`, verb by verb."""
