// Maintenance.Hash and HashKV: a hash of the keys as they were at a revision, equal on all members. The replica of this
// node is read, through the ranges that a client reads.

import { crc32 } from 'node:zlib'
import { encodeUtf8 } from '../../../bytes/index.ts'
import { RPC } from '../../../etcd/rpcs.ts'
import type { KeyRow, Revision } from '../../../operations/forms/index.ts'
import type { PageCollector } from '../../api/call.ts'
import type { EtcdCall } from '../call.ts'
import { decodeRevision } from '../fields.ts'
import { readInTurn } from '../read-turns.ts'
import { serveUnary } from '../rpc.ts'
import { rowBytes } from './range.ts'

export const hash = serveUnary(RPC.hash, async (_request, call) => {
  const { revision, hash: found } = await hashAt(undefined, call)
  return { header: call.header(revision), hash: found }
})

export const hashKv = serveUnary(RPC.hashKv, async ({ revision: requested }, call) => {
  const { revision, hash: found } = await hashAt(decodeRevision(requested), call)
  const compactRevision = call.api.node.history.compacted
  return { header: call.header(), hash: found, compactRevision, hashRevision: revision }
})

const ALL = { start: new Uint8Array(), end: undefined }

/** `revision`: undefined: the newest. */
async function hashAt(revision: Revision | undefined, call: EtcdCall) {
  const rows = new HashedRows()
  let [pinned, after] = [revision, undefined as Uint8Array | undefined]
  for (;;) {
    // A store takes as long as it takes.
    const deadline = call.nextDeadline()
    const read = () =>
      call.execute(
        {
          ...{ kind: 'range', range: ALL, order: 'asc', keysOnly: false, revision: pinned, freshness: {} },
          limit: call.api.limits.pageRowsMax,
          ...(after !== undefined && { after }),
        },
        { page: rows, deadline },
      )
    const page = await readInTurn(call, read, deadline)
    if (page.kind !== 'page') throw new Error('a range that is no stream is answered with a page')
    pinned ??= page.head.revision
    after = page.last
    if (!page.more || call.isOver) return { revision: pinned, hash: rows.hash }
  }
}

/** Keeps no row. */
class HashedRows implements PageCollector {
  hash = 0

  add(row: KeyRow, bytesMax: number): number {
    const bytes = rowBytes(row)
    if (bytes > bytesMax) return bytes
    const { key, value, createRevision, modRevision, version, lease } = row
    const numbers = [key.length, value.length, createRevision, modRevision, version, lease ?? 0].join()
    for (const part of [encodeUtf8(numbers), key, value]) this.hash = crc32(part, this.hash)
    return bytes
  }
}
