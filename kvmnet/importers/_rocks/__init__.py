"""The parts of the importer of Rocks Clusters.

`lines` cleans pasted text, `tables`, `commands` and `json_rows` turn the three formats into records, `inventory` sorts
the records into networks, hosts, interfaces and guests, and `convert` makes a draft of a definition of them.
"""
