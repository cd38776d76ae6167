"""The system on one page: which roles, in which order.

Install is inert and runs on all nodes at once. Then each node in its turn, the holder of the service address
last: configure and activate every role, and prove the exchange healthy before the next node is touched.
"""

from roles import (
    antispam,
    backup,
    base,
    failover,
    firewall,
    operations,
    policyhost,
    resolver,
    rolling,
    smtp,
    tls,
)

rolling.order_is_known(name="all nodes have been asked")

base.install()
smtp.install()
operations.files_ready(name="install: changed files are on the node and pass their checks")

for turn in rolling.turns():
    rolling.address_stays(name=f"{turn}: the service address is where it was", turn=turn)
    base.configure(turn)
    base.activate(turn)
    firewall.configure(turn)
    firewall.activate(turn)
    resolver.configure(turn)
    resolver.activate(turn)
    antispam.configure(turn)
    antispam.activate(turn)
    tls.configure(turn)
    policyhost.configure(turn)
    policyhost.activate(turn)
    smtp.configure(turn)
    smtp.activate(turn)
    failover.configure(turn)
    failover.activate(turn)
    backup.configure(turn)
    backup.activate(turn)
    rolling.healthy(name=f"{turn}: the exchange is healthy", turn=turn)

operations.no_leftovers(name="staged copies are gone")
