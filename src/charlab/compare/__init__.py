"""Which cell is better: runs grouped by configuration, their scores, their differences.

    reading (run directories) -> groups -> comparable, pairs, notes -> comparison
    comparison -> table (terminal), export (JSON, CSV), page (HTML)

From run directories alone, without torch and without W&B.
"""
