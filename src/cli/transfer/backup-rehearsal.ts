// A backup is restored into a temporary directory, and a node is started from that.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { BUMP_DEFAULT } from '../../backup/bump.ts'
import type { BackupSummary } from '../../backup/file.ts'
import { checkRestored, countKeys, restoreFile } from '../../backup/restore.ts'
import { Failure } from '../../local/failure.ts'
import type { KvNode } from '../../server/node/kv-node.ts'
import { startNode } from '../../server/start/start-node.ts'
import { EXIT } from '../exit-codes.ts'

const HOST = { host: '127.0.0.1', port: 0 }
const NAME = 'rehearsal'
/** For the node to elect itself. */
const READY_MS_MAX = 30_000

/** Throws if the restored node does not have what the backup has. */
export async function rehearse(path: string, { state }: BackupSummary): Promise<void> {
  const temporary = mkdtempSync(join(tmpdir(), 'quorate-rehearsal-'))
  const dir = join(temporary, 'data')
  try {
    const restored = await restoreFile(path, { dir, name: NAME, peer: '', url: '' }, { bump: BUMP_DEFAULT })
    await checkRestored(dir, restored)
    const node = await startNode({
      name: NAME,
      dataDir: dir,
      listen: HOST,
      peerListen: HOST,
      diskReserveBytes: 0,
      founding: { kind: 'existing' },
    })
    try {
      const keys = await requestKeyCount(node.api)
      if (keys !== state.keys)
        throw new Failure(EXIT.failed, `the restored node has ${keys} keys, and the backup ${state.keys}`)
    } finally {
      await node.stop()
    }
  } finally {
    rmSync(temporary, { recursive: true, force: true })
  }
}

/** The keys that a linearizable read finds. */
function requestKeyCount(node: KvNode): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  const options = { consistency: 'linearizable', timeoutMs: READY_MS_MAX } as const
  node.read({ ...options, maxStalenessMs: undefined, minRevision: undefined }, (result) => {
    if (!result.ok) return reject(new Failure(EXIT.failed, result.problem.detail))
    countKeys(node.rows()).then(resolve, reject)
  })
  return promise
}
