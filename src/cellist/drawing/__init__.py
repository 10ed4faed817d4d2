"""Graphs as pictures and as text: pure functions that know nothing of runs.

They stand below the root modules because both sides need them: `flow.visualize` must draw in a
plain script, where no board is loaded, and the board places its nodes by the same layout. `layout`
places nodes, `chart` is what is drawn of a flow, `flowchart` makes SVG of it, `mermaid` makes text
and `markup` makes text fit for HTML.
"""
