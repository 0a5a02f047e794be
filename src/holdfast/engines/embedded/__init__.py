"""The embedded engine: sharded, protected storage over the folders of one machine.

Pieces and a replicated commit log are the truth; SQLite is an index that is rebuilt from them.
"""
