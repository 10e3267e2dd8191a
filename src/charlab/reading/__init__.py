"""Run directories as they are read once there are some: found, checked, their curves.

Nothing here writes, or imports torch. Whatever is wrong with a run directory becomes one line of
text, never a traceback.
"""
