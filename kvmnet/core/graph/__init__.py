"""Pictures of a definition: its hosts with their interfaces and guests, and an overview of hosts and networks.

In: the bundles of one definition, or of two with what the review lists for them. Out: boxes and lines (`model`), their
places (`layout`), and the text of a file: SVG, HTML or Mermaid. The same input gives the same bytes.
"""
