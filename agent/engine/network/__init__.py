"""Container networks: bridges, namespaces, addresses, a firewall table and a DNS server an instance.

Everything is made from the records and found again by name, for the instance is in every one: so ``restore`` can make
the host agree with the records after anything. The only room that uses pyroute2.
"""
