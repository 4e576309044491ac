"""The election loop of Patroni with its own class for etcd, without PostgreSQL.

Arguments: the name of this member, the time in seconds for which it runs, and the addresses of the nodes. It prints one
line of JSON for each turn of its loop.
"""
import json
import sys
import time

from patroni.dcs.etcd3 import Etcd3
from patroni.exceptions import DCSError

name, seconds, hosts = sys.argv[1], float(sys.argv[2]), sys.argv[3].split(',')
dcs = Etcd3({
    'name': name, 'scope': 'demo', 'namespace': '/service/', 'hosts': hosts,
    'ttl': 6, 'loop_wait': 1, 'retry_timeout': 3,
})
until = time.time() + seconds
while time.time() < until:
    turn = {'at': time.time()}
    try:
        cluster = dcs.get_cluster()
        leader = cluster.leader and cluster.leader.name
        dcs.touch_member({'name': name, 'state': 'running'})
        if leader == name:
            turn['leads'] = bool(dcs.update_leader(int(time.time())))
        elif leader is None:
            turn['leads'] = bool(dcs.attempt_to_acquire_leader())
        else:
            turn['leads'] = False
        turn['leader'] = leader
        turn['members'] = sorted(member.name for member in cluster.members)
        turn['optime'] = cluster.last_lsn
        turn['machines'] = len(dcs._client.machines)
    except DCSError as error:
        turn['error'] = str(error)
    print(json.dumps(turn), flush=True)
    # The watch of the client wakes it up.
    dcs.watch(None, 1)
