// The bugs in the track record of etcd's robustness tests, as far as this store has the feature.

import type { Impossible, Mutant } from '../mutant.ts'
import { edit, KV_TESTS, RAFT, SIM, SIM_UNIT } from './edit.ts'

export const ETCD: readonly Mutant[] = [
  {
    id: 'M501',
    title: 'under load the applied index is durable ahead of its rows',
    why: 'A batch with some of the rows carries the index of all: after a crash the rest is missing, and is never applied again (etcd 13766).',
    layers: SIM,
    edits: [
      edit(
        'src/storage/store.ts',
        'const state = install ?? (this.dirty ? rows.state : undefined)',
        'const state = install ?? (this.dirty ? this.#state() : undefined)',
      ),
    ],
  },
  {
    id: 'M502',
    title: 'the only voter counts its log before its disk has finished',
    why: 'A cluster of one has acknowledged a write that is lost in a crash (etcd 14370).',
    layers: SIM,
    edits: [
      edit(
        RAFT,
        'id === this.id ? this.#log.stable :',
        'id === this.id ? (this.#configuration.voters.length === 1 ? this.#log.last : this.#log.stable) :',
      ),
    ],
  },
  {
    id: 'M503',
    title: 'the revision of a delete is not stored',
    why: 'The next change, or the same one after a restart, gets that revision again (etcd 17780).',
    layers: SIM_UNIT,
    tests: KV_TESTS,
    edits: [
      edit(
        'src/kv/keys.ts',
        '  rows.write({ key: rowKey, value: undefined })\n  state.revision = revision\n',
        '  rows.write({ key: rowKey, value: undefined })\n',
      ),
    ],
  },
]

/** From the same list: bugs in features that this store does not have. */
export const ETCD_IMPOSSIBLE: readonly Impossible[] = [
  {
    id: 'M511',
    title: 'switching authentication on makes replicas differ (etcd 14571)',
    because: 'There is no authentication: every request is judged by the log alone.',
  },
  {
    id: 'M512',
    title: 'a crash during defragmentation makes replicas differ (etcd 14685)',
    because:
      'Nothing is copied into a second database. The nearest thing, the switch to an installed snapshot, is one synced batch; M58, M100 and M102 break it.',
  },
  {
    id: 'M513',
    title: 'a watch loses, repeats or reorders events (etcd 15220, 15271, 17247, 17529, 18089, 19179, 20221)',
    because: 'There are no watches.',
  },
  {
    id: 'M514',
    title: 'a transaction that reads a compacted revision makes replicas differ (etcd 18667)',
    because: 'There are no transactions, and no revision but the newest can be read.',
  },
]
