// The modules of a checkout of quorate, of this one or of an older one. An older one may lack what this one has.

import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

export type Modules = Awaited<ReturnType<typeof modulesOf>>

export async function modulesOf(root: string) {
  const at = (path: string): string => pathToFileURL(join(root, 'src', path)).href
  const bytes: typeof import('../../src/bytes/index.ts') = await import(at('bytes/index.ts'))
  const operations: typeof import('../../src/operations/index.ts') = await import(at('operations/index.ts'))
  const forms: typeof import('../../src/operations/forms/settings.ts') = await import(
    at('operations/forms/settings.ts')
  )
  const raft: typeof import('../../src/raft/index.ts') = await import(at('raft/index.ts'))
  const kv: typeof import('../../src/kv/index.ts') = await import(at('kv/index.ts'))
  const requestCodec: typeof import('../../src/kv/codec/request.ts') = await import(at('kv/codec/request.ts'))
  const outcomeCodec: typeof import('../../src/kv/codec/outcome.ts') = await import(at('kv/codec/outcome.ts'))
  const authRows: typeof import('../../src/kv/auth/state.ts') = await import(at('kv/auth/state.ts'))
  const leases: typeof import('../../src/kv/leases.ts') = await import(at('kv/leases.ts'))
  const digest: typeof import('../../src/server/node/write/command-digest.ts') = await import(
    at('server/node/write/command-digest.ts')
  )
  const applier: typeof import('../../src/server/node/apply/applier.ts') = await import(
    at('server/node/apply/applier.ts')
  )
  const keyIndex: typeof import('../../src/server/node/key-index/key-index.ts') = await import(
    at('server/node/key-index/key-index.ts')
  )
  const storage: typeof import('../../src/storage/index.ts') = await import(at('storage/index.ts'))
  const opening: typeof import('../../src/storage/open.ts') = await import(at('storage/open.ts'))
  const records: typeof import('../../src/storage/records.ts') = await import(at('storage/records.ts'))
  const rows: typeof import('../../src/storage/rows.ts') = await import(at('storage/rows.ts'))
  const chunks: typeof import('../../src/storage/chunk.ts') = await import(at('storage/chunk.ts'))
  const linkCodec: typeof import('../../src/server/peers/tcp/link-codec.ts') = await import(
    at('server/peers/tcp/link-codec.ts')
  )
  const frames: typeof import('../../src/server/peers/tcp/frames.ts') = await import(
    at('server/peers/tcp/frames.ts')
  )
  const accept: typeof import('../../src/server/peers/accept.ts') = await import(at('server/peers/accept.ts'))
  const backup: typeof import('../../src/backup/format.ts') = await import(at('backup/format.ts'))
  const restore: typeof import('../../src/backup/restore.ts') = await import(at('backup/restore.ts'))
  const start: typeof import('../../src/server/start/start-node.ts') = await import(
    at('server/start/start-node.ts')
  )
  return {
    ...{ bytes, operations, forms, raft, kv, requestCodec, outcomeCodec, authRows, leases, digest, applier },
    ...{ keyIndex, storage, opening, records, rows, chunks, linkCodec, frames, accept, backup },
    ...{ restore, start },
  }
}
