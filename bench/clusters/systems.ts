import { CONSUL } from './consul.ts'
import { ETCD, ETCD_3_4 } from './etcd.ts'
import { NATS, NATS_DEFAULT } from './nats.ts'
import { RQLITE } from './rqlite.ts'
import type { System } from './system.ts'

/** Systems that `--against` takes. */
export const SYSTEMS: readonly System[] = [ETCD, ETCD_3_4, NATS, NATS_DEFAULT, CONSUL, RQLITE]
