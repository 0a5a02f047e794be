"""The engine that keeps everything in memory: complete, simple, and the oracle of the tests."""

from holdfast.engines.memory.engine import MemoryEngine

__all__ = ["MemoryEngine"]
