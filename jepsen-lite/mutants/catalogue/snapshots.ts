// Snapshots and compaction (paper §7), and the rows of a store while a snapshot arrives.

import type { Mutant } from '../mutant.ts'
import { edit, LOG, MEMBERSHIP, RAFT, RAFT_TESTS, SIM, SIM_UNIT, STORE_TESTS, UNIT } from './edit.ts'

const STORE = 'src/storage/store.ts'
const STAGED = 'src/storage/staged-snapshot.ts'

export const SNAPSHOTS: readonly Mutant[] = [
  {
    id: 'M44',
    title: 'a snapshot holds the data and not the tokens',
    why: 'A replica that was restored executes requests a second time.',
    layers: SIM,
    edits: [
      edit(
        'src/storage/snapshot-source.ts',
        'SNAPSHOT_ROWS = { ...ALL_ROWS, reverse',
        'SNAPSHOT_ROWS = { ...ALL_ROWS, lt: Uint8Array.of(2), reverse',
      ),
    ],
  },
  {
    id: 'M54',
    title: 'a snapshot contains no configuration',
    why: 'The replica counts by its earlier configuration.',
    layers: SIM,
    edits: [
      edit(
        MEMBERSHIP,
        '    this.unapplied.restored(index)\n    this.#configuration = configuration\n',
        '    this.unapplied.restored(index)\n',
      ),
    ],
  },
  {
    id: 'M55',
    title: 'an install keeps the log, whatever it holds at that index',
    why: 'The entry may be of another term: the log continues after an entry that was never committed (hashicorp 697).',
    layers: SIM_UNIT,
    tests: RAFT_TESTS,
    edits: [
      edit(
        LOG,
        'const keepLog = this.matches(index, term)',
        'const keepLog = this.matches(index, term) || index <= this.#last',
      ),
    ],
  },
  {
    id: 'M56',
    title: 'an older snapshot is installed',
    why: 'The state goes back.',
    layers: SIM_UNIT,
    tests: RAFT_TESTS,
    edits: [
      edit(
        RAFT,
        "if (meta.index > this.#log.commit && this.#role !== 'leader') {",
        "if (meta.index > 0 && this.#role !== 'leader') {",
      ),
    ],
  },
  {
    id: 'M57',
    title: 'the log is compacted beyond what is applied',
    why: 'Entries are gone that no state contains yet.',
    layers: SIM,
    edits: [
      edit(STORE, 'const to = asIndex(Math.min(compactTo, applied))', 'const to = asIndex(compactTo)'),
      edit(
        'src/server/node/group-commit.ts',
        'this.#tail.compactTo(firstIndex, this.#durableApplied,',
        'this.#tail.compactTo(firstIndex, hardState.commit,',
      ),
    ],
  },
  {
    id: 'M58',
    title: 'an install leaves the old log on the disk',
    why: 'After a restart there are two (Redis-Raft 43).',
    layers: SIM,
    edits: [
      edit(
        'src/storage/log.ts',
        '    for (const first of this.#records) batch.delete(logKey(first))\n    this.#isReplaced',
        '    if (batch.operations < 0) throw new InvariantError(batch.operations.toString())\n    this.#isReplaced',
      ),
    ],
  },
  {
    id: 'M59',
    title: 'a transfer continues with the chunks of another snapshot',
    why: 'Two states are mixed, or no snapshot is ever complete (NuRaft 118).',
    layers: SIM_UNIT,
    tests: STORE_TESTS,
    edits: [edit(STAGED, 'if (known?.id === id && known.from === from) {', 'if (known?.from === from) {')],
  },
  {
    id: 'M60',
    title: 'an append continues after a compacted entry',
    why: 'Its term is not known, so 0 is sent (WRaft 118.2).',
    layers: SIM,
    edits: [
      edit(
        RAFT,
        'const prevTerm = this.#log.termAt(prevIndex)\n',
        'const prevTerm = this.#log.termAt(prevIndex) ?? (0 as Term)\n',
      ),
    ],
  },
  {
    id: 'M61',
    title: 'entries that a snapshot covers are applied as well',
    why: 'They wait in the queue while it is installed.',
    layers: SIM_UNIT,
    tests: ['test/server/node/driver-install.test.ts'],
    edits: [
      edit('src/server/node/driver.ts', '    if (write.snapshot !== undefined) this.#applier.clear()\n', ''),
    ],
  },
  {
    id: 'M62',
    title: 'a scan lacks the rows that are applied and not yet durable',
    why: 'It reports an index whose rows it does not have, to range reads and to snapshots.',
    layers: SIM,
    edits: [
      edit(
        STORE,
        'layers = this.#overlay.freeze(() => state)',
        'layers = this.#overlay.freeze(() => state).slice(0, 0)',
      ),
    ],
  },
  {
    id: 'M100',
    title: 'later records keep the configuration from before the snapshot',
    why: 'That configuration comes back with the next restart, or is sent with the next snapshot.',
    layers: SIM,
    edits: [edit('src/server/node/driver.ts', '    this.#raftState = this.#storage.applied.raft\n', '')],
  },
  {
    id: 'M101',
    title: 'the filter of absent keys is kept when a snapshot is installed',
    why: 'Keys of the snapshot do not exist for later changes.',
    layers: SIM_UNIT,
    tests: STORE_TESTS,
    edits: [edit('src/storage/row-loader.ts', '    this.#filter.forgetAll()\n', '')],
  },
  {
    id: 'M102',
    title: 'heads of rows are kept when a snapshot is installed',
    why: 'They are those of rows that were replaced.',
    layers: SIM,
    edits: [edit('src/storage/row-loader.ts', '    this.#heads.forgetAll()\n', '')],
  },
  {
    id: 'M103',
    title: 'a snapshot is accepted as complete without a check of its rows',
    why: 'A chunk that arrived twice or not at all becomes part of the state.',
    layers: SIM_UNIT,
    tests: STORE_TESTS,
    edits: [
      edit(
        STAGED,
        '} else if (before.received !== before.stateHash) {',
        '} else if (before.received < 0n) {',
      ),
    ],
  },
  {
    id: 'M334',
    title: 'entries that were read before an install are given out after it',
    why: 'A record of the new log that begins at the same index is read from the cache, and is the old one.',
    layers: UNIT,
    tests: STORE_TESTS,
    edits: [edit('src/storage/log.ts', '    this.#cache.clear()\n', '')],
  },
]
