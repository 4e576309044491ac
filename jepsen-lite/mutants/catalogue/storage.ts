// The disk: durability, damage and failures; and the memory that stands for the disk.

import type { Mutant } from '../mutant.ts'
import { DRIVER_TESTS, edit, SIM, SIM_UNIT, STORE_TESTS, UNIT } from './edit.ts'

const LOADER = 'src/storage/row-loader.ts'
const LOADER_TEST = 'test/storage/row-loader.test.ts'
const STORE = 'src/storage/store.ts'
const QUEUE = 'src/storage/write-queue.ts'
const DISK_LOG = 'src/storage/log.ts'
const ROW_SCAN = 'src/storage/row-scan.ts'
const COMMIT_TESTS = ['test/server/node/group-commit.prop.test.ts']
const SCRUB = 'src/storage/scrub.ts'
const SCRUB_TESTS = ['scrub', 'storage.prop', 'tampered'].map((name) => `test/storage/${name}.test.ts`)
const PROPERTY_TESTS = [...STORE_TESTS, 'test/storage/storage.prop.test.ts']

export const STORAGE: readonly Mutant[] = [
  {
    id: 'M16',
    title: 'batches are not synced',
    why: 'A loss of power loses acknowledged writes (NATS 2.12 syncs every two minutes).',
    layers: ['power'],
    edits: [edit('src/storage/level/level-engine.ts', '.write({ sync: true })', '.write({ sync: false })')],
  },
  {
    id: 'M31',
    title: 'truncated entries stay on the disk',
    why: 'They come back with the next restart.',
    layers: SIM_UNIT,
    tests: PROPERTY_TESTS,
    edits: [
      edit(
        DISK_LOG,
        'for (const removed of this.#records.slice(at)) {\n      batch.delete(logKey(removed))\n',
        'for (const removed of this.#records.slice(at)) {\n',
      ),
    ],
  },
  {
    id: 'M32',
    title: 'a gap in the log is accepted at the start',
    why: 'LevelDB drops a record that it cannot read, without an error.',
    layers: UNIT,
    tests: STORE_TESTS,
    edits: [
      edit(
        DISK_LOG,
        'if (fault !== undefined) return done(new CorruptionError(fault))',
        'if (fault !== undefined) continue',
      ),
    ],
  },
  {
    id: 'M43',
    title: 'rows are durable without their applied index',
    why: 'After a restart their entries are applied again.',
    layers: SIM,
    edits: [
      edit(STORE, 'const state = install ?? (this.dirty ? rows.state : undefined)', 'const state = install'),
    ],
  },
  {
    id: 'M73',
    title: 'a storage error is ignored and the node continues',
    why: 'The failed write counts as durable; after a failed sync the kernel may report the lost pages as clean.',
    layers: SIM,
    edits: [edit(QUEUE, '      if (error !== undefined) this.#first.fail(error)\n', '      void error\n')],
  },
  {
    id: 'M74',
    title: 'a full disk is treated as a slow one',
    why: 'Writes are acknowledged and not stored.',
    layers: SIM,
    edits: [
      edit(
        QUEUE,
        '      if (error !== undefined) this.#first.fail(error)\n',
        '      if (error !== undefined && !/no space/.test(error.message)) this.#first.fail(error)\n',
      ),
    ],
  },
  {
    id: 'M75',
    title: 'the checksum of a row is not checked',
    why: 'A flipped bit is served, and copied into everything that is derived from the row.',
    layers: SIM_UNIT,
    tests: STORE_TESTS,
    edits: [
      edit(
        'src/storage/rows.ts',
        'if (length < 0 || crc32(stored.subarray(0, length + 4), crc32(key)) !== hashAt(stored, length + 4))',
        'if (length < 0)',
      ),
    ],
  },
  {
    id: 'M76',
    title: 'a damaged record with intact ones after it is treated as a torn one',
    why: 'Everything after it is dropped, acknowledged or not.',
    layers: UNIT,
    tests: STORE_TESTS,
    edits: [
      edit(
        'src/storage/level/log-file.ts',
        "  if (isFollowed(block, at, couldFollow)) return corrupt(at, 'a damaged frame is followed by a whole one')\n",
        '',
      ),
    ],
  },
  {
    id: 'M77',
    title: 'term and vote are stored with a later batch than the one they belong to',
    why: 'In between, entries and votes are durable under a term that is not.',
    layers: SIM,
    edits: [
      edit(
        STORE,
        '          hardState,\n          logStart',
        '          hardState: writes.length > 0 ? { ...before.hardState, commit: hardState.commit } : hardState,\n          logStart',
      ),
    ],
  },
  {
    id: 'M108',
    title: 'the node is not told of an error in the background',
    why: 'It continues to answer reads from a damaged disk. Our own, in an early version.',
    layers: SIM_UNIT,
    tests: [...STORE_TESTS, ...DRIVER_TESTS],
    edits: [edit('src/storage/sticky-error.ts', '      this.#told(this.#error)\n', '')],
  },
  {
    id: 'M109',
    title: 'the memory of rows confuses a key with another one that begins with it',
    why: 'Only the shorter length is compared. Our own, in an early version.',
    layers: SIM_UNIT,
    tests: STORE_TESTS,
    edits: [
      edit('src/storage/key-index.ts', 'if (this.#tags[slot] !== tag) continue', ''),
      edit(
        'src/storage/key-index.ts',
        'this.bytes[at + KEY_LENGTH_AT] === key.length',
        'this.#tags[slot] !== FREE',
      ),
    ],
  },
  {
    id: 'M110',
    title: 'the filter of absent keys is not told of new rows',
    why: 'They do not exist for the next change; conditions on their absence hold. Our own, found by review.',
    layers: SIM_UNIT,
    tests: STORE_TESTS,
    edits: [edit(STORE, '      if (old === undefined && !row.isDeleted) this.#filter.add(hash)\n', '')],
  },
  {
    id: 'M111',
    title: 'rows that are being written cannot be read',
    why: 'They have left the memory and are not on the disk yet.',
    layers: SIM,
    edits: [
      edit(
        'src/storage/overlay.ts',
        'this.#submitted = [...this.#submitted, ...layers]',
        'this.#submitted = [...this.#submitted]',
      ),
    ],
  },
  {
    id: 'M112',
    title: 'messages leave one write too early',
    why: 'The driver counts the batch under way as durable.',
    layers: SIM,
    edits: [
      edit(
        'src/server/node/group-commit.ts',
        'if (outgoing.after <= this.#durableWrite)',
        'if (outgoing.after <= this.#durableWrite + 1)',
      ),
    ],
  },
  {
    id: 'M113',
    title: 'the boot counter does not rise',
    why: 'An older process and its proposals cannot be told from a newer one.',
    layers: SIM,
    edits: [
      edit(
        STORE,
        'const booted = { ...meta, boot: meta.boot + 1 }',
        'const booted = { ...meta, boot: Math.max(meta.boot, 1) }',
      ),
    ],
  },
  {
    id: 'M114',
    title: 'a database that ends too early is opened',
    why: 'The side file has how far it had come: acknowledged writes are missing.',
    layers: UNIT,
    tests: STORE_TESTS,
    edits: [
      edit(
        'src/storage/level/verify.ts',
        'if (reached.mark !== undefined && end < reached.mark)',
        'if (reached.mark !== undefined && end < 0)',
      ),
    ],
  },
  {
    id: 'M150',
    title: 'a page takes a row after the first one that does not fit',
    why: 'The next page begins after it, so the row that did not fit is in no page. Our own, found by use.',
    layers: SIM_UNIT,
    tests: PROPERTY_TESTS,
    edits: [
      edit(
        ROW_SCAN,
        '    if (this.isFull) return false\n',
        '    if (isTooLarge) this.isFull = false\n    if (isTooLarge) return true\n    if (this.isFull) return false\n',
      ),
    ],
  },
  {
    id: 'M151',
    title: 'a row deleted in memory is listed as the engine still has it',
    why: 'The tombstone hides it from a read of the key, not from a page.',
    layers: SIM_UNIT,
    tests: PROPERTY_TESTS,
    edits: [
      edit(
        ROW_SCAN,
        'if (order === 0) this.#pairsAt++',
        'if (order === 0 && overlaid[1].stored !== undefined) this.#pairsAt++',
      ),
    ],
  },
  {
    id: 'M152',
    title: 'a page backwards merges its rows as if it went forward',
    why: 'Rows that are not durable appear in the wrong place, or in no page.',
    layers: UNIT,
    tests: PROPERTY_TESTS,
    edits: [edit(ROW_SCAN, 'overlaid < name === this.#reverse ? 1 : -1', 'overlaid < name ? -1 : 1')],
  },
  {
    id: 'M153',
    title: 'a page that is full by bytes says that there are no more rows',
    why: 'A client that reads page by page stops there.',
    layers: SIM_UNIT,
    tests: PROPERTY_TESTS,
    edits: [edit(ROW_SCAN, ': [], page.isFull)', ': [], page.isFull && page.rowsWanted === 0)')],
  },
  {
    id: 'M154',
    title: 'an older layer hides a newer one from pages',
    why: 'A list shows a value that was overwritten before the list was requested.',
    layers: SIM_UNIT,
    tests: PROPERTY_TESTS,
    edits: [
      edit(
        'src/storage/overlay.ts',
        'for (const layer of layers) for',
        'for (const layer of layers.toReversed()) for',
      ),
    ],
  },
  {
    id: 'M155',
    title: 'rows of the layers after the last row of the engine are forgotten',
    why: 'A key that is newer than the last batch and sorts last is in no list.',
    layers: SIM_UNIT,
    tests: PROPERTY_TESTS,
    edits: [edit(ROW_SCAN, 'if (key === undefined) return -1', 'if (key === undefined) return 1')],
  },
  {
    id: 'M159',
    title: 'a head that was remembered anew while its table grows is moved over by the older one',
    why: 'A change of the row begins from what it was before the last one. Our own.',
    layers: UNIT,
    tests: PROPERTY_TESTS,
    edits: [
      edit(
        'src/storage/key-index.ts',
        'if (slot >= 0) old.free(slot)',
        'if (slot >= old.sets * 8) old.free(slot)',
      ),
    ],
  },
  {
    id: 'M873',
    title: 'a key has one set in the memory of rows in place of two',
    why: 'In a full table one key in seven is read from LevelDB again and again, and LevelDB rewrites what was searched. Our own, until it was measured.',
    layers: UNIT,
    tests: PROPERTY_TESTS,
    edits: [
      edit(
        'src/storage/key-index.ts',
        'this.#freeIn(second) > this.#freeIn(first) ? second : first',
        'first',
      ),
    ],
  },
  {
    id: 'M874',
    title: 'a key is looked for in the first of its sets only',
    why: 'Half of the heads are never found, and rows are read for nothing. Our own.',
    layers: UNIT,
    tests: PROPERTY_TESTS,
    edits: [
      edit(
        'src/storage/key-index.ts',
        'slot < 0 ? this.#findIn(this.#secondOf(tag), tag, key) : slot',
        'slot',
      ),
    ],
  },
  {
    id: 'M875',
    title: 'the memory of rows grows with the keys, however little memory there is',
    why: 'A container with a gibibyte ends for lack of memory with ten million keys. Our own.',
    layers: UNIT,
    tests: ['test/storage/store.test.ts'],
    edits: [
      edit(STORE, 'Math.floor((memoryBytes * ROW_HEADS_SHARE) / HEAD_BYTES)', 'Math.ceil(memoryBytes)'),
    ],
  },
  {
    id: 'M160',
    title: 'a large write of the core goes into one batch',
    why: 'Making it delays heartbeats: with 64 values of a mebibyte, the leader is silent for longer than it may be. Our own.',
    layers: UNIT,
    tests: COMMIT_TESTS,
    edits: [
      edit(
        'src/storage/batches.ts',
        'if (bytes <= batchBytesMax && items <= batchItemsMax) return [write]',
        'if (bytes >= 0 && items <= batchItemsMax) return [write]',
      ),
    ],
  },
  {
    id: 'M161',
    title: 'a write counts as durable with its first part',
    why: 'Its entries are acknowledged before they are on the disk.',
    layers: SIM_UNIT,
    tests: COMMIT_TESTS,
    edits: [
      edit(
        'src/server/node/group-commit.ts',
        'writes.findLast(({ number }) => number !== this.#writes[0]?.number)?.number',
        'writes.at(-1)?.number',
      ),
    ],
  },
  {
    id: 'M162',
    title: 'rows become durable before their entries',
    why: 'A leader applies entries that only others have stored; after a crash its rows are ahead of its log.',
    layers: SIM_UNIT,
    tests: COMMIT_TESTS,
    edits: [
      edit(
        'src/storage/overlay.ts',
        'waiting.filter((layer) => layer.state.applied.index <= upTo)',
        'waiting.filter((layer) => layer.state.applied.index <= upTo + 1)',
      ),
    ],
  },
  {
    id: 'M163',
    title: 'all rows that wait go into one batch',
    why: 'There may be any number of them.',
    layers: UNIT,
    tests: COMMIT_TESTS,
    edits: [
      edit(
        'src/storage/overlay.ts',
        'return at === 0 || (bytes <= room.bytes && items <= room.items)',
        'return at === 0 || items >= 0',
      ),
    ],
  },
  {
    id: 'M164',
    title: 'a part of a write is stored with the newest commit index',
    why: 'That index covers later writes, which may replace entries that the log holds now. Our own, found by a property test.',
    layers: SIM_UNIT,
    tests: ['test/server/node/group-commit.test.ts'],
    edits: [
      edit(
        'src/server/node/group-commit.ts',
        'const hardState = writes.at(-1)?.hardState ?? this.#hardState',
        'const hardState = this.#events.hardState()',
      ),
    ],
  },
  {
    id: 'M165',
    title: 'the scrub does not follow changes of rows that it has read',
    why: 'It stops healthy nodes.',
    layers: SIM_UNIT,
    tests: SCRUB_TESTS,
    edits: [edit(SCRUB, '      if (after !== undefined) this.#found.add(after)\n', '')],
  },
  {
    id: 'M166',
    title: 'the scrub forgets changes during the reading of a slice',
    why: 'The scan of the slice is older than the change.',
    layers: SIM_UNIT,
    tests: SCRUB_TESTS,
    edits: [edit(SCRUB, 'else if (this.#scan !== undefined) this.#meanwhile.push(change)', '')],
  },
  {
    id: 'M167',
    title: 'the scrub counts every change as one of a row that it has read',
    why: 'It stops healthy nodes.',
    layers: SIM_UNIT,
    tests: SCRUB_TESTS,
    edits: [
      edit(
        SCRUB,
        'if (this.#next === undefined || Buffer.compare(key, this.#next) < 0)',
        'if (key.length >= 0)',
      ),
    ],
  },
  {
    id: 'M168',
    title: 'the scrub keeps its scans open',
    why: 'LevelDB keeps all overwritten data meanwhile, and the disk fills within a pass. Our own.',
    layers: UNIT,
    tests: SCRUB_TESTS,
    edits: [
      edit(SCRUB, 'scan.finish((unread) => {', 'queueMicrotask((unread: Error | undefined = undefined) => {'),
    ],
  },
  {
    id: 'M169',
    title: 'the scrub continues when a snapshot has replaced the rows',
    why: 'The rows that it has read are not those of the state hash.',
    layers: SIM_UNIT,
    tests: SCRUB_TESTS,
    edits: [edit(STORE, '    for (const watcher of this.#watchers) watcher.replaced()\n', '')],
  },
  {
    id: 'M170',
    title: 'the scrub accepts any sum',
    why: 'A missing or outdated row is never found.',
    layers: UNIT,
    tests: SCRUB_TESTS,
    edits: [edit(SCRUB, 'if (found === expected) return', 'if (found >= 0n) return')],
  },
  {
    id: 'M173',
    title: 'a failure to make a batch is not reported',
    why: 'A record that must be cut cannot be read, at the end of another batch: the process ends with an exception. Our own.',
    layers: UNIT,
    tests: COMMIT_TESTS,
    edits: [
      edit(
        'src/server/node/group-commit.ts',
        '      this.#inFlight = false\n      this.#fail(thrown instanceof Error ? thrown : new Error(String(thrown)))\n',
        '      this.#inFlight = false\n      throw thrown\n',
      ),
    ],
  },
  {
    id: 'M174',
    title: 'a scan that is closed during a read still returns its page',
    why: 'Its caller has given it up, and gets rows of an earlier moment.',
    layers: UNIT,
    tests: STORE_TESTS,
    edits: [edit(ROW_SCAN, '    if (this.#isClosed) return closedError()\n', '')],
  },
  {
    id: 'M175',
    title: 'an old record of a snapshot is accepted',
    why: 'It reappears because of a damaged table; the next write gives that snapshot up, and with it the rows of the state.',
    layers: UNIT,
    tests: STORE_TESTS,
    edits: [
      edit(
        STORE,
        'if (staging.generation <= generation || staging.generation >= nextGeneration)',
        'if (staging.generation >= nextGeneration)',
      ),
    ],
  },
  {
    id: 'M176',
    title: 'the chunks of a snapshot do not count as written',
    why: 'The snapshot fills the disk between two checks of the free space, and the failed write ends the node. Our own.',
    layers: UNIT,
    tests: ['test/server/node/disk-space.test.ts'],
    edits: [edit('src/server/node/driver.ts', '        this.#space.writes(chunk.length)\n', '')],
  },
  {
    id: 'M177',
    title: 'an error from before the owner listened is not reported',
    why: 'The node takes part with a failed storage until it writes. Our own.',
    layers: UNIT,
    tests: STORE_TESTS,
    edits: [
      edit('src/storage/sticky-error.ts', '    if (this.#error !== undefined) told(this.#error)\n', ''),
    ],
  },
  {
    id: 'M178',
    title: 'a snapshot counts as complete although another one replaced it meanwhile',
    why: 'Installing it ends the node. Our own.',
    layers: UNIT,
    tests: STORE_TESTS,
    edits: [
      edit(
        'src/storage/staged-snapshot.ts',
        '(error) => done(error ?? this.whyGone(after))',
        '(error) => done(error)',
      ),
    ],
  },
  {
    id: 'M179',
    title: 'LevelDB is asked whether the process itself has the directory open',
    why: 'LevelDB opens and closes LOCK for the answer, and the lock is released: another process opens the directory too. Our own.',
    layers: UNIT,
    tests: ['test/storage/open.test.ts'],
    edits: [
      edit(
        'src/storage/level/level-engine.ts',
        'if (openHere.has(place) || isLockedInProcess(lock))',
        'if (place.length < 0)',
      ),
    ],
  },
  {
    id: 'M680',
    title: 'each thread knows only the databases that it has opened itself',
    why: 'LevelDB refuses a worker the directory of another thread, but closes LOCK, and another process opens the directory too. Our own.',
    layers: UNIT,
    tests: ['test/storage/open.test.ts'],
    edits: [
      edit(
        'src/storage/level/level-engine.ts',
        'openHere.has(place) || isLockedInProcess(lock)',
        'openHere.has(place)',
      ),
    ],
  },
  {
    id: 'M672',
    title: 'an open LOCK counts as a locked one',
    why: "LevelDB's files are inherited: the directory is refused as long as a process started by the earlier one runs, although the lock is free. Our own.",
    layers: UNIT,
    tests: ['test/storage/open.test.ts'],
    edits: [edit('src/storage/open-files.ts', '/^lock:/m', '/^/m')],
  },
  {
    id: 'M180',
    title: 'everything is compacted without room for it',
    why: 'LevelDB writes a table before it deletes others. When that fails it accepts no more writes, and the node ends when there is room again. Our own.',
    layers: UNIT,
    tests: ['test/server/node/disk-space.test.ts'],
    edits: [
      edit(
        'src/server/node/disk-space.ts',
        'const isRoom = this.#isRoomToCompact(this.#freeBytes)',
        'const isRoom = true',
      ),
    ],
  },
  {
    id: 'M181',
    title: 'a slice of unused rows waits for a batch with room for it',
    why: 'Under load no batch has room, and the disk fills with replaced rows. Our own.',
    layers: UNIT,
    tests: ['test/storage/generation-cleaner.test.ts'],
    edits: [
      edit(
        'src/storage/store.ts',
        'const swept = this.#garbage.sweep(pending)',
        `const swept =
        this.#rowsBytes === 0 || this.#garbage.bytes <= this.#room.bytes - this.#rowsBytes
          ? this.#garbage.sweep(pending)
          : undefined`,
      ),
      edit('src/storage/store.ts', 'bytes: bytes - this.#garbage.bytes, items', 'bytes, items'),
      edit(
        'src/storage/store.ts',
        '  #submitRows(commit: LogIndex, pending: EngineBatch): Submission {\n',
        `  #rowsBytes = 0
  #submitRows(commit: LogIndex, pending: EngineBatch): Submission {
    this.#rowsBytes = 0
`,
      ),
      edit(
        'src/storage/store.ts',
        '    for (const row of rows.rows) putRow(pending, row)\n',
        `    for (const row of rows.rows) {
      this.#rowsBytes += row.stored?.length ?? 0
      putRow(pending, row)
    }
`,
      ),
    ],
  },
  {
    id: 'M182',
    title: 'a chunk is stored although its transfer was given up while the chunk waited',
    why: 'Its generation may be deleted already. After a restart the transfer continues, and the installed state has holes. Our own.',
    layers: UNIT,
    tests: ['test/storage/generation-cleaner.test.ts'],
    edits: [
      edit(
        'src/storage/staged-snapshot.ts',
        'if (!meta.dead.includes(staging.generation)) {',
        'if (meta.boot > 0) {',
      ),
    ],
  },
  {
    id: 'M183',
    title: 'a generation is recorded as dead before it is recorded as used',
    why: 'After a restart it is used again, and the rows of the state are deleted as garbage. Our own.',
    layers: UNIT,
    tests: ['test/storage/generation-cleaner.test.ts'],
    edits: [
      edit(
        'src/storage/staged-snapshot.ts',
        'return { ...meta, dead, nextGeneration: this.#nextGeneration }',
        'return { ...meta, dead }',
      ),
    ],
  },
  {
    id: 'M184',
    title: 'a failed formatting keeps the lock',
    why: 'The next attempt in the same process is told that a node has the directory open. Our own.',
    layers: UNIT,
    tests: ['test/storage/open.test.ts'],
    edits: [
      edit(
        'src/storage/open.ts',
        `  } finally {
    // Also after a failed write: nothing here counts yet, and the next attempt needs the lock.
    await db.close()
  }
`,
        `    await db.close()
  } finally {
    // Nothing.
  }
`,
      ),
    ],
  },
  {
    id: 'M550',
    title: 'the record of an abandoned transfer stays while another one is about to begin',
    why: 'Its rows are deleted, and with them the note that it is dead. The next start continues it, and the installed state has holes. Our own.',
    layers: UNIT,
    tests: ['test/storage/generation-cleaner.test.ts'],
    edits: [
      edit(
        'src/storage/staged-snapshot.ts',
        '    batch.delete(STAGING_KEY)\n    // Generations that were given up',
        '    if (this.#staging === undefined) batch.delete(STAGING_KEY)\n    // Generations that were given up',
      ),
    ],
  },
  {
    id: 'M551',
    title: 'the lock is released before IDENTITY is written',
    why: 'A process that formats the directory at the same moment considers the formatting interrupted, and deletes the database. Our own.',
    layers: UNIT,
    tests: ['test/storage/open.test.ts'],
    edits: [
      edit(
        'src/storage/open.ts',
        `    writeIdentity(dir, identity)
    endFormatting(dir)
`,
        `    await db.close()
    writeIdentity(dir, identity)
    endFormatting(dir)
`,
      ),
    ],
  },
  {
    id: 'M552',
    title: 'a start deletes the reserve file of a running node',
    why: 'The start fails, and the running node has nothing to give back when the disk fills. Our own.',
    layers: UNIT,
    tests: ['test/server/node/disk-space.int.test.ts'],
    edits: [edit('src/server/start-node.ts', ' && !isInUse(options.dataDir)', '')],
  },
  {
    id: 'M553',
    title: 'a failed write is not noted',
    why: 'LevelDB counts it, a compaction records the number, and the next start reports missing acknowledged writes that never existed. Our own.',
    layers: UNIT,
    tests: ['test/storage/counted.test.ts'],
    edits: [edit('src/storage/level/level-engine.ts', '        this.#noteFailed(sequence)\n', '')],
  },
  {
    id: 'M554',
    title: 'MANIFEST may be ahead of the WALs by more than the failed write',
    why: 'In that case an acknowledged write is missing. Our own.',
    layers: UNIT,
    tests: ['test/storage/counted.test.ts', 'test/storage/level/verify.test.ts'],
    edits: [edit('src/storage/level/verify.ts', ' && lastSequence <= failed.through ? failed', ' ? failed')],
  },
  {
    id: 'M555',
    title: 'the note of a failed write is used after a later batch',
    why: 'What is missing then may have been acknowledged. Our own.',
    layers: UNIT,
    tests: ['test/storage/counted.test.ts'],
    edits: [edit('src/storage/watermark.ts', ' || from < mark)', ')')],
  },
  {
    id: 'M556',
    title: 'the name of a directory that existed already is not made durable',
    why: 'An interrupted attempt may have made it: a power cut loses the replica with its directory. Our own.',
    layers: UNIT,
    tests: ['test/storage/directory.test.ts'],
    edits: [
      edit(
        'src/storage/open.ts',
        'of ancestors(path)) {',
        'of first === undefined ? [] : ancestors(path)) {',
      ),
    ],
  },
  {
    id: 'M557',
    title: 'nothing checks whether LevelDB has recovered every WAL',
    why: 'LevelDB skips a WAL that it cannot open, and deletes it: acknowledged rows are gone, and the next WAL hides that. Our own.',
    layers: UNIT,
    tests: ['test/storage/level/skipped-wals.test.ts'],
    edits: [edit('src/storage/open.ts', '    assertRecovered(dir, extent.wals)\n', '')],
  },
  {
    id: 'M558',
    title: 'an error that LevelDB ignored is not checked further',
    why: 'LevelDB has opened the WAL, and dropped the part that it could not read. Our own.',
    layers: UNIT,
    tests: ['test/storage/level/skipped-wals.test.ts'],
    edits: [edit('src/storage/level/skipped-wals.ts', 'ignored !== undefined || skipped', 'skipped')],
  },
  {
    id: 'M559',
    title: 'a WAL that LevelDB skipped and deleted stays deleted',
    why: 'A process that is briefly short of file descriptors loses its content. Our own.',
    layers: UNIT,
    tests: ['test/storage/level/skipped-wals.test.ts'],
    edits: [
      edit(
        'src/storage/open.ts',
        '      if (watermark !== undefined && error instanceof SkippedError) restore(dir, extent, watermark, error)\n',
        '',
      ),
    ],
  },
  {
    id: 'M490',
    title: 'a replica that was told of its lost state may be started again',
    why: 'The replicas that knew may be gone by then: it votes and counts again. Our own.',
    layers: SIM_UNIT,
    tests: DRIVER_TESTS,
    edits: [
      edit(
        'src/server/node/driver.ts',
        '    if (error instanceof UnfitReplicaError || error instanceof CorruptionError) this.#quarantine(reason)\n',
        '',
      ),
    ],
  },
  {
    id: 'M491',
    title: 'a start does not check whether the replica is under quarantine',
    why: 'The mark exists, and the replica votes and counts again. Our own.',
    layers: SIM_UNIT,
    tests: STORE_TESTS,
    edits: [edit(STORE, 'if (quarantined !== undefined)', 'if (quarantined === identity.name)')],
  },
  {
    id: 'M616',
    title: 'a node opens its files relative to the current directory of the process',
    why: 'When the application changes its working directory, LevelDB writes acknowledged data somewhere else. Our own.',
    layers: UNIT,
    tests: ['test/embed/cluster.int.test.ts'],
    edits: [
      edit(
        'src/server/start-node.ts',
        '{ ...given, dataDir: realpathSync(dataDir) }',
        '{ ...given, dataDir: given.dataDir || realpathSync(dataDir) }',
      ),
    ],
  },
  {
    id: 'M617',
    title: 'a formatting does not check again before it deletes files',
    why: 'While names were made durable, another process has begun: the files of a running node are deleted. Our own.',
    layers: UNIT,
    tests: ['test/storage/directory.test.ts'],
    edits: [
      edit(
        'src/storage/open.ts',
        `    refuseUnlessFree(dir)
    await makeReplica`,
        `    await makeReplica`,
      ),
    ],
  },
  {
    id: 'M618',
    title: 'LOCK is deleted with the other files of an interrupted formatting',
    why: 'A process that has locked the old file, and one that makes a new one, both have the lock. Our own.',
    layers: UNIT,
    tests: ['test/storage/directory.test.ts', 'test/storage/replica-identity.test.ts'],
    edits: [edit('src/storage/replica-identity.ts', " && name !== 'LOCK'", '')],
  },
  {
    id: 'M560',
    title: 'a page counts although LevelDB has skipped something',
    why: 'It cannot open a table because of a lack of file descriptors: the page has a hole, and the scrub calls intact data damaged. Our own.',
    layers: UNIT,
    tests: ['test/storage/faults.test.ts'],
    edits: [edit(ROW_SCAN, 'const error = this.#faultOf(unread)', 'const error = this.#faultOf(undefined)')],
  },
  {
    id: 'M660',
    title: 'the row that did not fit into a page is in no page',
    why: 'A list that is read in slices misses one row after each slice.',
    layers: SIM_UNIT,
    tests: PROPERTY_TESTS,
    edits: [
      edit(
        ROW_SCAN,
        '        if (key === undefined || !page.add(key, stored)) return\n        this.#pairsAt++',
        '        if (key === undefined) return\n        this.#pairsAt++\n        if (!page.add(key, stored)) return',
      ),
    ],
  },
  {
    id: 'M661',
    title: 'rows that were read beyond the end of a page are forgotten',
    why: 'A list that is read in slices misses the rows between two slices.',
    layers: SIM_UNIT,
    tests: PROPERTY_TESTS,
    edits: [
      edit(
        ROW_SCAN,
        '    const page = new Page(limits)\n',
        '    const page = new Page(limits)\n    this.#pairs = []\n',
      ),
    ],
  },
  {
    id: 'M662',
    title: 'a request for an earlier chunk gets the next one',
    why: 'The connection broke, and the receiver continues at an earlier chunk than the sender.',
    layers: SIM_UNIT,
    tests: ['test/storage/memory.test.ts'],
    edits: [edit('src/storage/snapshot-source.ts', '    if (first !== this.#at) this.#scan.seek(gte)\n', '')],
  },
  {
    id: 'M675',
    title: 'rows that have become durable are kept in memory',
    why: 'A node that writes grows as long as it runs, and each read searches all these rows.',
    layers: UNIT,
    tests: ['test/storage/overlay.prop.test.ts'],
    edits: [
      edit(
        'src/storage/overlay.ts',
        'filter((layer) => !layers.includes(layer))',
        'filter((layer) => layer !== undefined)',
      ),
    ],
  },
  {
    id: 'M663',
    title: 'a scan holds a snapshot of LevelDB',
    why: 'Compactions keep older versions of keys meanwhile, and one of them comes back later (google/leveldb#320).',
    layers: UNIT,
    tests: ['test/storage/level/level-engine.test.ts'],
    edits: [edit('src/storage/level/level-engine.ts', '  void snapshot.close()\n', '')],
  },
  {
    id: 'M666',
    title: 'a long scan keeps the space of replaced data although the disk is nearly full',
    why: 'Compactions fill it, and the node ends.',
    layers: UNIT,
    tests: ['test/storage/level.test.ts', 'test/storage/memory.test.ts'],
    edits: [edit(ROW_SCAN, 'if (this.#isOld) this.end(new ScanEndedError())\n', '\n')],
  },
  {
    id: 'M669',
    title: 'while the disk has little room, no snapshot is sent for longer than a second',
    why: 'All disks are equally full: a replica on a larger one, which could lead, is never brought up to date. Our own.',
    layers: UNIT,
    tests: ['test/server/node/disk-space.test.ts'],
    edits: [
      edit(
        'src/server/node/disk-space.ts',
        'if (!isRoom) this.#events.endOldScans()\n    else if (',
        'this.#events.endOldScans()\n    if (isRoom && ',
      ),
    ],
  },
  {
    id: 'M670',
    title: 'while LevelDB compacts everything, reads are ended although the disk has much room again',
    why: 'Clients that read many keys are told for minutes that the disk is nearly full, and no snapshot arrives. Our own.',
    layers: UNIT,
    tests: ['test/server/node/disk-space.test.ts'],
    edits: [edit('src/server/node/disk-space.ts', 'if (this.#isShort) this.#events', 'this.#events')],
  },
  {
    id: 'M671',
    title: 'a compaction of everything continues, however little room is left',
    why: 'It takes minutes for much data. Another program fills the disk meanwhile: LevelDB finds no room for a piece, and the node ends. Our own.',
    layers: UNIT,
    tests: ['test/storage/level/level-engine.test.ts'],
    edits: [edit('src/storage/level/level-engine.ts', '!this.#isClosed && isRoom()', '!this.#isClosed')],
  },
  {
    id: 'M673',
    title: 'files that look damaged once are refused',
    why: 'The process that had them open may have ended just then: the operator is told to begin anew. Our own.',
    layers: UNIT,
    tests: ['test/storage/directory.test.ts'],
    edits: [
      edit(
        'src/storage/open.ts',
        `  } catch {
    // Files that another process is writing may look damaged.
    if (isInUse(dir) || (await isLocked(dir))) throw inUse(dir)
  }
  // That process may have ended since.
  try {
    return look()
  } catch (error) {
    if (isInUse(dir)) throw inUse(dir)
`,
        `  } catch (error) {
    if (isInUse(dir) || (await isLocked(dir))) throw inUse(dir)
`,
      ),
    ],
  },
  {
    id: 'M674',
    title: 'WALs that another start had recovered are put back after what that start has written',
    why: 'It was killed before it noted its first write: no later start opens the directory. Our own.',
    layers: UNIT,
    tests: ['test/storage/level/skipped-wals.test.ts'],
    edits: [
      edit(
        'src/storage/open.ts',
        'watermark.read().mark !== mark || standsBeyond(dir, extent)',
        'watermark.read().mark !== mark',
      ),
    ],
  },
  {
    id: 'M676',
    title: 'threads of one process that start on a directory at the same time all ask LevelDB',
    why: 'LevelDB refuses all but one, and releases the lock of the process: another process opens the directory too. Our own.',
    layers: UNIT,
    tests: ['test/storage/open.test.ts'],
    edits: [
      edit(
        'src/storage/open.ts',
        'if (isOpenTwiceInProcess(statSync(',
        'if (!isOpenTwiceInProcess && (statSync(',
      ),
    ],
  },
  {
    id: 'M677',
    title: 'a directory on a file system without locks counts as in use by another node',
    why: 'LevelDB gives both errors the same code: the operator looks for a node that does not exist. Our own.',
    layers: UNIT,
    tests: ['test/storage/level/skipped-wals.test.ts'],
    edits: [edit('src/storage/level/level-engine.ts', ' && !NO_LOCKS.test(causeOf(error).message)', '')],
  },
  {
    id: 'M678',
    title: 'the files of an interrupted formatting are deleted without the lock, from another container',
    why: 'A process of another container has begun, unseen: its files are deleted, and the result is not a node. Our own.',
    layers: UNIT,
    tests: ['test/storage/directory.test.ts'],
    edits: [
      edit(
        'src/storage/level/level-engine.ts',
        '      act()\n    } finally',
        '      await db.close()\n      act()\n    } finally',
      ),
    ],
  },
  {
    id: 'M496',
    title: 'the files of an interrupted formatting are deleted without the lock',
    why: 'Another process that is formatting is not noticed then: the resulting directory is refused as damaged. Our own.',
    layers: UNIT,
    tests: ['test/storage/directory.test.ts'],
    edits: [
      edit(
        'src/storage/open.ts',
        'await whileLocked(dir, () => beginAnew(dir))',
        'await whileLocked(dir, () => beginAnew(dir)).catch(() => beginAnew(dir))',
      ),
    ],
  },
  {
    id: 'M497',
    title: 'all threads of one process that find an interrupted formatting begin anew',
    why: "They share LevelDB's lock: one deletes what another has begun. Our own.",
    layers: UNIT,
    tests: ['test/storage/directory.test.ts'],
    edits: [
      edit('src/storage/open.ts', '      if (isOpenTwiceInProcess(fstatSync(file))) throw inUse(dir)\n', ''),
    ],
  },
  {
    id: 'M679',
    title: 'an unreachable directory counts as missing',
    why: 'The data of a node lies in a directory of another user: the operator is told to found a new cluster. Our own.',
    layers: UNIT,
    tests: ['test/storage/directory.test.ts'],
    edits: [
      edit(
        'src/storage/replica-identity.ts',
        'if (statSync(dir, { throwIfNoEntry: false }) === undefined) return []',
        'if (!existsSync(dir)) return []',
      ),
    ],
  },
  {
    id: 'M681',
    title: 'an unreadable quarantine mark counts as none',
    why: 'A replica that others know to be unfit votes again. Our own.',
    layers: UNIT,
    tests: ['test/storage/directory.test.ts'],
    edits: [edit('src/storage/quarantine.ts', "if (hasCode(error, 'ENOENT'))", 'if (!existsSync(path))')],
  },
  {
    id: 'M682',
    title: 'how far lost WALs went is not noted',
    why: 'After a power cut the side file may be an old one: the next start continues without acknowledged writes. Our own.',
    layers: UNIT,
    tests: ['test/storage/level/skipped-wals.test.ts'],
    edits: [edit('src/storage/open.ts', '    watermark.raise(heldTo)\n', '')],
  },
  {
    id: 'M683',
    title: 'a failure after IDENTITY is reported as another node',
    why: 'The disk is full or failing: the operator looks for a node that does not exist. Our own.',
    layers: UNIT,
    tests: ['test/storage/directory.test.ts'],
    edits: [edit('src/storage/open.ts', ' && content.identity.replicaId !== identity.replicaId', '')],
  },
  {
    id: 'M684',
    title: 'the temporary directory for asking the lock must be deleted',
    why: 'If it cannot be, a running node of another container is called damaged. Our own.',
    layers: UNIT,
    tests: ['test/storage/directory.test.ts'],
    edits: [
      edit(
        'src/storage/level/level-engine.ts',
        '  } catch {\n    // The directory holds nothing',
        '  } finally {\n    // The directory holds nothing',
      ),
    ],
  },
  {
    id: 'M667',
    title: 'the scrub treats a scan that was ended as damage',
    why: 'The node ends itself since its disk is nearly full. Our own.',
    layers: UNIT,
    tests: SCRUB_TESTS,
    edits: [
      edit(SCRUB, 'done(error instanceof ScanEndedError ? undefined : error, false)', 'done(error, false)'),
    ],
  },
  {
    id: 'M668',
    title: 'when the scrub reads a slice again, it counts the changes of the first attempt too',
    why: 'The scrub ends a healthy node.',
    layers: UNIT,
    tests: SCRUB_TESTS,
    edits: [edit(SCRUB, '    this.#meanwhile = []\n    done(', '    done(')],
  },
  {
    id: 'M561',
    title: 'a replica that has found damage in its data may be started again',
    why: 'It serves damaged data until it has read all rows again, hours later. Our own.',
    layers: UNIT,
    tests: ['test/server/node/driver.test.ts'],
    edits: [
      edit(
        'src/server/node/driver.ts',
        'if (error instanceof UnfitReplicaError || error instanceof CorruptionError) this.#quarantine(reason)',
        'if (error instanceof UnfitReplicaError) this.#quarantine(reason)',
      ),
    ],
  },
  {
    id: 'M562',
    title: 'everything is compacted with a quarter of the reserve left',
    why: 'If much was written lately, a compaction needs more space than that before it frees some, and the node ends itself. Our own.',
    layers: UNIT,
    tests: ['test/server/node/disk-space.test.ts'],
    edits: [edit('src/server/node/disk-space.ts', 'const COMPACT_PART = 2', 'const COMPACT_PART = 4')],
  },
  {
    id: 'M563',
    title: 'a step of reading all rows counts although LevelDB has skipped something',
    why: 'It cannot open a table because of a lack of file descriptors: its rows count as absent, and are created again. Our own.',
    layers: UNIT,
    tests: [LOADER_TEST],
    edits: [edit(LOADER, 'const fault = error ?? unread', 'const fault = error')],
  },
  {
    id: 'M880',
    title: 'a scan jumps behind a key whose rows it has already passed',
    why: 'The keys between are read again: counts are too high, and lists have keys twice. It was ours for a while.',
    layers: UNIT,
    tests: ['test/server/node/record-scan.prop.test.ts'],
    edits: [
      edit(
        'src/kv/live-versions.ts',
        '      this.#skipped = 0\n      this.#jump = undefined\n',
        '      this.#skipped = 0\n',
      ),
    ],
  },
  {
    id: 'M881',
    title: 'what the filter of rows says before an entry is believed to hold while it is applied',
    why: 'Keys that the entry creates may set the bits of another: every replica stops. It was ours for a while.',
    layers: UNIT,
    tests: ['test/server/node/entry-reads.test.ts'],
    edits: [
      edit(
        'src/storage/store.ts',
        '    // Keys that the entry adds to the filter may have the bits of this one.\n    this.#heads.put(key, hash, undefined)\n',
        '',
      ),
    ],
  },
  {
    id: 'M876',
    title: 'a row that is read in the background replaces what a change has left in memory',
    why: 'The next change of the row begins from what it was before the last one. Our own.',
    layers: UNIT,
    tests: [LOADER_TEST],
    edits: [
      edit('src/storage/key-index.ts', '    if (this.get(key, hash) !== undefined) return false\n', ''),
    ],
  },
  {
    id: 'M877',
    title: 'a row that is read in the background is known as it was, if its head was lost after a change',
    why: 'In a table that is nearly full one changed row in a hundred has its old revision and length again. Our own.',
    layers: UNIT,
    tests: [LOADER_TEST],
    edits: [edit('src/storage/key-index.ts', ' || this.#lost.has(tagOf(hash))', '')],
  },
  {
    id: 'M878',
    title: 'rows that are read in the background go on taking slots of a full table',
    why: 'The heads of the rows in use are lost for rows that nobody writes. Our own.',
    layers: UNIT,
    tests: [LOADER_TEST],
    edits: [
      edit(
        'src/storage/key-index.ts',
        'if (this.#table.sets === this.#setsMax && this.#table.isCrowded) this.#lost = undefined\n      else this.#lost',
        'this.#lost',
      ),
    ],
  },
  {
    id: 'M879',
    title: 'the head of a row that is read in the background is remembered without a look at its checksum',
    why: 'A change builds on damaged bytes. Our own.',
    layers: UNIT,
    tests: [LOADER_TEST],
    edits: [edit(LOADER, 'openRow(key, stored)', '')],
  },
  {
    id: 'M565',
    title: 'everything is compacted at once',
    why: 'LevelDB takes several small tables together with everything between them a level below, which may be the whole database: a disk with little room is full, and the node ends. Our own.',
    layers: UNIT,
    tests: ['test/storage/level/level-engine.test.ts'],
    edits: [edit('src/storage/level/compaction.ts', 'if (bytes >= pieceBytes) return', 'if (bytes < 0) return')],
  },
  {
    id: 'M566',
    title: 'an incoming snapshot may fill the reserve of the disk',
    why: 'LevelDB compacts the received part, finds no room, and the node ends; and again after each start. Our own.',
    layers: UNIT,
    tests: ['test/server/node/disk-space.test.ts'],
    edits: [
      edit(
        'src/server/node/driver.ts',
        "if (this.#raft.room === 'enough') sink.write",
        "if (this.#raft.room !== 'none') sink.write",
      ),
    ],
  },
  {
    id: 'M567',
    title: 'the part of an interrupted snapshot is kept on a disk that is short of room',
    why: 'No snapshot is accepted there, so it is never completed: its space would be enough. Our own.',
    layers: UNIT,
    tests: ['test/storage/transfers.test.ts'],
    edits: [edit(STORE, '    this.#staged.abandonIncomplete()\n', '')],
  },
  {
    id: 'M726',
    title: 'a file that is replaced as a whole gets its name before its content is durable',
    why: 'After a loss of power, IDENTITY is empty: the directory of a healthy replica is refused. Our own.',
    layers: UNIT,
    tests: ['test/jepsen-lite/power/recording.int.test.ts'],
    edits: [edit('src/files/durable.ts', '    fsyncSync(file)\n', '')],
  },
  {
    id: 'M722',
    title: 'a scan that the end of a node meets is closed as if its reader had closed it',
    why: 'A list on a node that ends is answered with 500 and logged as a defect. Found by run. Our own.',
    layers: UNIT,
    tests: ['test/storage/store.test.ts'],
    edits: [edit(STORE, 'scan.end(new StorageClosedError())', 'scan.close()')],
  },
]
