"""Container networks: their drivers, namespaces, addresses, a firewall table and DNS servers an instance.

``driver`` says what a network and a connection are on the host, ``bridge`` is the first of them; ``networks`` is what
callers use. Everything is made from the records and found again by name, for the instance is in every one: so
``restore`` can make the host agree with the records after anything. The only room that uses pyroute2.
"""
