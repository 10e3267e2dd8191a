"""Configuration: schema, checks, composition. Imports no torch."""
