// What a load is sent to: one implementation for each protocol.

import { ClientTarget } from './client-target.ts'
import { etcdGateway, quorateHttp } from './dialects.ts'
import { HttpTarget } from './http-target.ts'
import type { Consistency, Load } from './load.ts'
import { MuxTarget } from './mux-target.ts'

/** Each call rejects unless the answer is a success. */
export interface Target {
  put(key: string, value: Uint8Array): Promise<void>
  get(key: string, consistency: Consistency): Promise<void>
  /** Up to `limit` keys, from this one on. */
  range(start: string, limit: number, consistency: Consistency): Promise<void>
  close(): void | Promise<void>
}

export async function targetFor({ over, endpoints, in_flight, connections }: Load): Promise<Target> {
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
