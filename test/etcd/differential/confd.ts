// The requests of confd's backend for etcd (pkg/backends/etcd/client.go, as of April 2026). It reads the prefixes of a
// template in transactions of up to 128 ranges, all at the revision of the first one, and watches each prefix.

import type { Step } from './conversation.ts'
import type { JsonObject } from './frame.ts'

/** The most ranges in one transaction. */
const RANGES_MAX = 128
const DESCENDING = 2

const prefixEnd = (key: string): string =>
  key.slice(0, -1) + String.fromCharCode(key.charCodeAt(key.length - 1) + 1)

const prefix = (key: string): JsonObject => ({ key, rangeEnd: prefixEnd(key) })

const readRanges = (keys: readonly string[], revision: number): Step => ({
  rpc: 'txn',
  request: {
    success: keys.map((key) => ({
      requestRange: { ...prefix(key), sortOrder: DESCENDING, ...(revision > 0 && { revision }) },
    })),
  },
})

/** Reads all prefixes. `revision`: the one that the first response has. */
function read(keys: readonly string[], revision: number): readonly Step[] {
  const steps: Step[] = []
  for (let at = 0; at < keys.length; at += RANGES_MAX)
    steps.push(readRanges(keys.slice(at, at + RANGES_MAX), at === 0 ? 0 : revision))
  return steps
}

const put = (key: string, value: string): Step => ({ rpc: 'put', request: { key, value } })
const watch = (key: string, startRevision = 0): Step => ({
  rpc: 'watch',
  stream: 0,
  request: { createRequest: { ...prefix(key), ...(startRevision > 0 && { startRevision }) } },
})

const KEYS = ['/myapp/database/url', '/myapp/database/user', '/myapp/upstream']
/** `/myapp/upstreams` is read with the prefix, and left out by confd. */
const FILLED = [
  put('/myapp/database/url', 'db.example.com'),
  put('/myapp/database/user', 'rob'),
  put('/myapp/upstream/app1', '10.0.1.10:8080'),
  put('/myapp/upstream/app2', '10.0.1.11:8080'),
  put('/myapp/upstreams', 'none'),
]
const MANY = Array.from({ length: RANGES_MAX + 2 }, (_, at) => `/many/${at}/`)

export const CONFD: Readonly<Record<string, readonly Step[]>> = {
  'a template before there are keys': read(KEYS, 10),
  'a template that is rendered and watched': [
    ...FILLED,
    ...read(KEYS, 15),
    ...KEYS.map((key) => watch(key)),
    put('/myapp/upstream/app2', '10.0.1.12:8080'),
    ...read(KEYS, 16),
    { rpc: 'deleteRange', request: { key: '/myapp/upstream/app1' } },
    ...read(KEYS, 17),
  ],
  'a watch that continues after a connection was lost': [
    ...FILLED,
    watch('/myapp/upstream', 13),
    put('/myapp/upstream/app3', '10.0.1.13:8080'),
  ],
  'a watch that continues at a compacted revision': [
    ...FILLED,
    { rpc: 'compact', request: { revision: 14, physical: true } },
    watch('/myapp/upstream', 12),
  ],
  'a template with more prefixes than a transaction has ranges': [
    put('/many/0/a', '1'),
    put('/many/129/a', '1'),
    ...read(MANY, 12),
  ],
}
