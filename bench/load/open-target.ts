// One implementation of a target for each protocol.

import { ClientTarget } from './client-target.ts'
import { etcdGateway, quorateHttp } from './dialects.ts'
import { HttpTarget } from './http-target.ts'
import type { Load } from './load.ts'
import { MuxTarget } from './mux-target.ts'
import type { Target } from './target.ts'

export async function openTarget({ over, endpoints, in_flight, connections }: Load): Promise<Target> {
  switch (over) {
    case 'http':
      return new HttpTarget(quorateHttp, endpoints, in_flight)
    case 'gateway':
      return new HttpTarget(etcdGateway, endpoints, in_flight)
    case 'client':
      return new ClientTarget(endpoints)
    case 'mux':
      return MuxTarget.connect(endpoints, connections)
    case 'etcd':
      throw new Error('etcd/main.go is the generator for the protocol of etcd')
  }
}
