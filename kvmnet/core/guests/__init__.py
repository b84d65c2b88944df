"""What the definition means to libvirt: the XML of a guest's NICs, and whether a guest may run on another host.

Comes in: views and a domain's XML. Goes out: XML text and the answer with its reasons.
"""
