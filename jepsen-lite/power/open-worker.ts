// A process that opens directories as the node would, with the shipped verification and store, and reports the outcome
// of each. It is separate because LevelDB may abort the process.

import { KeyIndex, keyIndexLimits } from '../../src/server/node/key-index/key-index.ts'
import { inspectDirectory, openStorage } from '../../src/storage/directory.ts'
import { StorageRefusedError } from '../../src/storage/index.ts'
import { SMALL_LIMITS } from './links.ts'
import { closed, readReplicaState, scrub } from './replica.ts'
import type { ReplicaState } from './trace-markers.ts'

export type OpenOutcome =
  | { readonly kind: 'opened'; readonly replica: ReplicaState }
  /** A directory without a node, in which one can be created. */
  | { readonly kind: 'empty' }
  | { readonly kind: 'refused'; readonly message: string }
  /** The replica was opened, or almost, and then failed: an unexpected error, a wrong row, or an abort. */
  | { readonly kind: 'broken'; readonly message: string }

process.on('message', (dir: string) => {
  void openReplica(dir).then((outcome) => process.send?.(outcome))
})

async function openReplica(dir: string): Promise<OpenOutcome> {
  try {
    if (inspectDirectory(dir).kind === 'empty') return { kind: 'empty' }
    const storage = await openStorage(dir, { limits: SMALL_LIMITS, index: KeyIndex.of(keyIndexLimits) })
    try {
      const replica = readReplicaState(storage)
      await scrub(storage)
      return { kind: 'opened', replica }
    } finally {
      await closed(storage)
    }
  } catch (error) {
    if (error instanceof StorageRefusedError) return { kind: 'refused', message: error.message }
    return {
      kind: 'broken',
      message: error instanceof Error ? (error.stack ?? error.message) : String(error),
    }
  }
}
