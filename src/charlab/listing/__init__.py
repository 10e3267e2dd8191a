"""`charlab runs`: what runs there are, and how far those are that run now. Imports no torch."""
