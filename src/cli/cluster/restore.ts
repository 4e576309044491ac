// `kv cluster restore`: the directory of a local cluster, made from a backup. n1 has the data; the others join it at
// the first start.

import { join } from 'node:path'
import { type RestoreResult, restoreFile } from '../../backup/restore.ts'
import { localUrl } from '../../local/addresses.ts'
import { failed } from '../../local/cluster/control-protocol.ts'
import { readClusterFile, writeClusterFile } from '../../local/directory/cluster-file.ts'
import { createDataDirectory } from '../../local/directory/data-directory.ts'
import { nodeNames } from '../../local/directory/plan.ts'
import { Failure } from '../../local/failure.ts'
import { lockDirectory } from '../../local/supervisor/supervisor-lock.ts'
import { EXIT } from '../exit-codes.ts'
import { onFiles } from '../transfer/backup.ts'

interface RestoredCluster {
  readonly dataDir: string
  readonly nodes: number
  /** The client port of n1. */
  readonly port: number
  readonly bump: number
  /** The hash of a new password of root. */
  readonly rootPasswordHash: string | undefined
}

/** cluster.json is written last: without it a start refuses the directory. */
export async function restoreCluster(
  path: string,
  { dataDir, nodes, port, bump, rootPasswordHash }: RestoredCluster,
): Promise<RestoreResult> {
  createDataDirectory(dataDir)
  const lock = await lockDirectory(dataDir, async () =>
    failed(EXIT.failed, 'a backup is being restored here'),
  )
  const inUse = new Failure(EXIT.failed, `${dataDir} holds a cluster already; choose another --data`)
  if ('holder' in lock) throw inUse
  try {
    if (readClusterFile(dataDir) !== undefined) throw inUse
    const n1 = { dir: join(dataDir, 'n1'), name: 'n1', peer: '', url: localUrl(port) }
    const restored = await onFiles(path, () => restoreFile(path, n1, { bump, rootPasswordHash }))
    writeClusterFile(dataDir, {
      cluster_id: restored.clusterId,
      supervisor: null,
      nodes: nodeNames(nodes).map((name, at) => ({
        name,
        url: localUrl(port + at),
        pid: null,
        peer_port: null,
        stage: at === 0 ? 'member' : 'new',
      })),
    })
    return restored
  } finally {
    lock.release()
  }
}
