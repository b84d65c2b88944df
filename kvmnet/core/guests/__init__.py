"""What the definition means for libvirt: the XML of a guest's NICs, and whether a guest can run on another host.

In: views of hosts, and the XML of a domain. Out: XML, and the answer with its reasons.
"""
