"""The report of a comparison: one self-contained HTML page.

    comparison -> headline, table, figures, samples, diagnostics, origin -> page (template, css, js)

The page asks the network for nothing, also from file://. What comes from models and files is
escaped, and the control characters in it are replaced.
"""
