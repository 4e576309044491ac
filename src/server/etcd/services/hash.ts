// Maintenance.Hash and HashKV: a hash of the keys as they were at a revision, equal on all members. The replica of this
// node is read, through the ranges that a client reads.

import { crc32 } from 'node:zlib'
import { encodeUtf8 } from '../../../bytes/index.ts'
import { RPC } from '../../../etcd/rpcs.ts'
import type { KeyRow, Revision } from '../../../operations/forms/index.ts'
import type { EtcdCall } from '../call.ts'
import { decodeRevision, FIRST_REVISION } from '../fields.ts'
import { readAll } from '../range-reading.ts'
import { serveUnary } from '../rpc.ts'

export const hash = serveUnary(RPC.hash, async (_request, call) => {
  const { revision, hash: found } = await hashAt(undefined, call)
  return { header: call.header(revision), hash: found }
})

export const hashKv = serveUnary(RPC.hashKv, async ({ revision: requested }, call) => {
  const { revision, hash: found } = await hashAt(decodeRevision(requested), call)
  const { compacted } = call.api.node.history
  // As in etcd: -1 before the first compaction.
  const compactRevision = compacted === FIRST_REVISION ? -1 : compacted
  return { header: call.header(), hash: found, compactRevision, hashRevision: revision }
})

const ALL = { start: new Uint8Array(), end: undefined }

/** `revision`: undefined: the newest. */
async function hashAt(revision: Revision | undefined, call: EtcdCall) {
  let found = 0
  const readAt = await readAll(call, { range: ALL, revision, freshness: {} }, (rows) => {
    for (const row of rows) found = hashOf(row, found)
  })
  // JSON leaves 0 out, as if there were no hash. A store without keys has one too.
  return { revision: revision ?? readAt, hash: found === 0 ? 1 : found }
}

function hashOf(row: KeyRow, before: number): number {
  const { key, value, createRevision, modRevision, version, lease } = row
  const numbers = [key.length, value.length, createRevision, modRevision, version, lease ?? 0].join()
  return crc32(value, crc32(key, crc32(encodeUtf8(numbers), before)))
}
