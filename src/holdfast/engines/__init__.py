"""The engines behind one contract, `engines.api`."""
