"""The command line: parse, call an operation, render. Nothing else lives here."""
