"""The list of given names that ships with charlab, and the script that builds it."""
