// The whole store: watches, leases, transactions and history, as simulated clients use them (jepsen-lite/sim:
// store-clients.ts, watchers.ts). Most of these bugs show only when faults and requests meet: at the seam of history
// and what is applied now, when a snapshot is installed, when leaders change.

import type { Mutant } from '../mutant.ts'
import { edit, SIM_UNIT, UNIT } from './edit.ts'

const CATCH_UP = 'src/server/node/watch/catch-up.ts'
const DRIVER = 'src/server/node/driver.ts'
const EVENTS = 'src/server/node/watch/events.ts'
const ENTRY_READS = 'src/server/node/entry-reads.ts'
const FORWARDED = 'src/server/node/leases/forwarded-keep-alives.ts'
const HISTORY = 'src/kv/history.ts'
const HISTORY_ROWS = 'src/server/node/watch/history-rows.ts'
const HTTP_WATCH = 'src/server/http/watch.ts'
const HUB = 'src/server/node/watch/hub.ts'
const KEEPER = 'src/server/node/leases/lease-keeper.ts'
const LEASE_COMMANDS = 'src/kv/lease-commands.ts'
const LEASES = 'src/kv/leases.ts'
const LIVE_VERSIONS = 'src/kv/live-versions.ts'
const TXN = 'src/kv/txn.ts'
const WATCHER = 'src/server/node/watch/watcher.ts'
const WATCHING = 'src/server/http/watch-limits.ts'

const WATCH_TESTS = ['hub', 'hub.prop', 'nodes'].map((name) => `test/server/node/watch/${name}.test.ts`)
const LEASE_TESTS = ['test/server/node/leases/']
const KV_LEASE_TESTS = ['test/kv/leases.prop.test.ts']
const TXN_TESTS = ['test/kv/txn.prop.test.ts']
const HISTORY_TESTS = ['test/kv/history.prop.test.ts', 'test/server/node/record-scan.prop.test.ts']

export const WHOLE_STORE: readonly Mutant[] = [
  // ---- watches
  {
    id: 'M900',
    title: 'a watch that reads history becomes live one revision too early',
    why: 'The event at the seam is lost.',
    layers: SIM_UNIT,
    tests: WATCH_TESTS,
    edits: [
      edit(
        CATCH_UP,
        'for (let rows = 0; watcher.next <= state.revision; rows++)',
        'for (let rows = 0; watcher.next < state.revision; rows++)',
      ),
    ],
  },
  {
    id: 'M901',
    title: 'live watches stay live when a snapshot is installed',
    why: 'They are not told of what the snapshot has brought.',
    layers: SIM_UNIT,
    tests: WATCH_TESTS,
    edits: [edit(HUB, '      this.#readLater(watcher, next)\n', '      watcher.next = next\n')],
  },
  {
    id: 'M902',
    title: 'a watch that reads history is told of each event in a message of its own',
    why: 'A client that resumes after the first one misses the others of that revision. Like etcd 15220.',
    layers: SIM_UNIT,
    tests: WATCH_TESTS,
    edits: [
      edit(
        CATCH_UP,
        '        this.#events.tell(watcher, revision, events)\n',
        '        for (const event of events) this.#events.tell(watcher, revision, [event])\n',
      ),
    ],
  },
  {
    id: 'M903',
    title: 'the progress of a watch that reads history is the revision of the store',
    why: 'A client that resumes after it misses what was not told. Like etcd 15220.',
    layers: SIM_UNIT,
    tests: WATCH_TESTS,
    edits: [
      edit(
        HUB,
        'return asRevision(Math.min(this.#state.revision, watcher.next - 1))',
        'return this.#state.revision',
      ),
    ],
  },
  {
    id: 'M904',
    title: 'a live watch that finds its client full goes on behind the event that it could not send',
    why: 'The event is lost.',
    layers: SIM_UNIT,
    tests: WATCH_TESTS,
    edits: [
      edit(
        HUB,
        '    watcher.next = revision.revision\n    this.#full(watcher)\n',
        '    watcher.next = asRevision(revision.revision + 1)\n    this.#full(watcher)\n',
      ),
    ],
  },
  {
    id: 'M905',
    title: 'the row of events that grows is kept as it was read first',
    why: 'A watch that comes back later reads it without its last events.',
    layers: SIM_UNIT,
    tests: WATCH_TESTS,
    edits: [
      edit(
        HISTORY_ROWS,
        'if (kept !== undefined && (!kept.mayGrow || kept.last === revision)) {',
        'if (kept !== undefined) {',
      ),
    ],
  },
  {
    id: 'M906',
    title: 'a node that stops tells a watch to go on from the revision of the store',
    why: 'A slow watch misses what was not told yet.',
    layers: SIM_UNIT,
    tests: WATCH_TESTS,
    edits: [
      edit(
        HUB,
        'const resumeFrom = asRevision(Math.max(watcher.next, this.#upTo(watcher) + 1))',
        'const resumeFrom = asRevision(Math.max(watcher.next, this.#state.revision + 1))',
      ),
    ],
  },
  {
    id: 'M907',
    title: 'live watches are told of puts and of deletes, whatever they ask for',
    why: 'The filter counts only where history is read.',
    layers: SIM_UNIT,
    tests: WATCH_TESTS,
    edits: [
      edit(
        WATCHER,
        'return revision >= this.next && (this.#only === undefined || this.#only === type)',
        "return revision >= this.next && (this.state === 'live' || this.#only === undefined || this.#only === type)",
      ),
    ],
  },
  {
    id: 'M908',
    title: 'the record before is left out where it is the first version of its key',
    why: 'A client takes the key for a new one.',
    layers: SIM_UNIT,
    tests: WATCH_TESTS,
    edits: [
      edit(EVENTS, '    return this.#prev\n', '    return this.#prev?.version === 1 ? null : this.#prev\n'),
    ],
  },
  {
    id: 'M909',
    title: 'a watch that waits for its client is told its progress',
    why: 'A client that takes messages more slowly than progress comes never takes everything, and is told of no event any more. It was ours.',
    layers: SIM_UNIT,
    tests: WATCH_TESTS,
    edits: [
      edit(HUB, "    if (watcher.state !== 'full') {\n      // It stays due", '    {\n      // It stays due'),
    ],
  },

  // ---- leases
  {
    id: 'M910',
    title: 'a lease ends whatever deadline the entry names',
    why: 'An entry of a deposed leader that arrives late ends a lease that was renewed since.',
    layers: SIM_UNIT,
    tests: KV_LEASE_TESTS,
    edits: [
      edit(
        LEASE_COMMANDS,
        'if (lease?.deadlineMs !== deadlineMs) continue',
        'if (lease === undefined || deadlineMs === 0) continue',
      ),
    ],
  },
  {
    id: 'M911',
    title: 'under a new leader every lease begins its time to live anew',
    why: 'While leaders change, no lease ever ends. As in etcd without checkpoints.',
    layers: SIM_UNIT,
    tests: LEASE_TESTS,
    edits: [
      edit(
        KEEPER,
        'this.#hold(id, lease, lease.deadlineMs, false)\n  }\n',
        'this.#hold(id, lease, (this.#node.leading()?.clusterTimeMs ?? 0) + lease.ttlMs, false)\n  }\n',
      ),
    ],
  },
  {
    id: 'M912',
    title: 'a new leader does not count on what its predecessor has promised in memory',
    why: 'It ends a lease at its time to live after the last renewal in the log.',
    layers: SIM_UNIT,
    tests: LEASE_TESTS,
    edits: [
      edit(
        KEEPER,
        'this.#hold(id, lease, lease.deadlineMs, false)\n  }\n',
        'this.#hold(id, lease, lease.deadlineMs - this.#node.state.settings.leaseCheckpointMs, false)\n  }\n',
      ),
    ],
  },
  {
    id: 'M913',
    title: 'cluster time stands still in the log while nothing else is written',
    why: 'After a restart of all nodes leases live as long again as they had lived.',
    layers: SIM_UNIT,
    tests: LEASE_TESTS,
    edits: [
      edit(
        KEEPER,
        'if (this.#isCheckpointing || state.leases.count === 0) return',
        'if (this.#isCheckpointing || state.leases.count >= 0) return',
      ),
    ],
  },
  {
    id: 'M914',
    title: 'a keep-alive beyond the deadline in the log is only noted in memory',
    why: 'The next leader ends the lease at its deadline, before what was promised.',
    layers: SIM_UNIT,
    tests: LEASE_TESTS,
    edits: [
      edit(
        KEEPER,
        'if (!held.isOwn || held.isEnding || promised > deadlineMs)',
        'if (!held.isOwn || held.isEnding || promised > deadlineMs + 60_000)',
      ),
    ],
  },
  {
    id: 'M915',
    title: 'a put that moves a key to another lease does not attach it there',
    why: 'The key outlives its lease.',
    layers: SIM_UNIT,
    tests: KV_LEASE_TESTS,
    edits: [edit(LEASES, '  if (to !== undefined) {\n', '  if (to !== undefined && from === undefined) {\n')],
  },
  {
    id: 'M916',
    title: 'a put without a lease leaves the key attached',
    why: 'The lease deletes a key that was taken from it.',
    layers: SIM_UNIT,
    tests: KV_LEASE_TESTS,
    edits: [edit(LEASES, '  if (from === to) return\n', '  if (from === to || to === undefined) return\n')],
  },
  {
    id: 'M917',
    title: 'a keep-alive does not count once the lease is renewed in the log',
    why: 'The leader ends the lease at its time to live after the entry, not after what it has answered since.',
    layers: SIM_UNIT,
    tests: LEASE_TESTS,
    edits: [
      edit(
        KEEPER,
        '    held.endsAtMs = Math.max(held.endsAtMs, promised)\n',
        '    held.endsAtMs = Math.max(held.endsAtMs, held.endsAtMs)\n',
      ),
    ],
  },
  {
    id: 'M918',
    title: 'a checkpoint is proposed before the entry that ends leases',
    why: 'On a node that has room for one more proposal the checkpoint takes it each time, and no lease ends. It was ours.',
    layers: UNIT,
    tests: LEASE_TESTS,
    edits: [
      edit(
        KEEPER,
        '    if (this.#clock.now() >= this.#notBefore) {\n      if (!this.#isExpiring',
        '    if (this.#clock.now() >= this.#notBefore) {\n      this.#checkpoint(lead.clusterTimeMs)\n      if (!this.#isExpiring',
      ),
    ],
  },

  // ---- transactions
  {
    id: 'M920',
    title: 'a comparison of the value of a missing key holds',
    why: 'A transaction that waits for a value begins before there is one.',
    layers: SIM_UNIT,
    tests: TXN_TESTS,
    edits: [
      edit(
        TXN,
        'return current !== null && isOrder(compareKeys(rowOf(current, rows).value, comparison.to), op)',
        'return current === null || isOrder(compareKeys(rowOf(current, rows).value, comparison.to), op)',
      ),
    ],
  },
  {
    id: 'M921',
    title: 'each put of a transaction has a revision of its own',
    why: 'A read at a revision in between, and a watch, see half of the transaction.',
    layers: SIM_UNIT,
    tests: TXN_TESTS,
    edits: [
      edit(
        TXN,
        'const { createRevision, version } = writeKey({ key, value, lease }, rowKey, current, revision, work)',
        'const { createRevision, version } = writeKey({ key, value, lease }, rowKey, current, asRevision(work.state.revision + 1), work)',
      ),
    ],
  },
  {
    id: 'M922',
    title: 'a read in a transaction does not see keys that the operations before have made',
    why: 'It reads the store as it was, and writes on it.',
    layers: SIM_UNIT,
    tests: TXN_TESTS,
    edits: [
      edit(
        TXN,
        '  const all = currentAt(where, putBefore, work)\n',
        '  const all = currentAt(where, putBefore.size < 0 ? putBefore : NOTHING_PUT, work)\n',
      ),
    ],
  },
  {
    id: 'M923',
    title: 'one comparison that holds is enough',
    why: 'A transaction writes although what it was decided on has changed.',
    layers: SIM_UNIT,
    tests: TXN_TESTS,
    edits: [
      edit(
        TXN,
        'const succeeded = txn.compare.every((comparison) => holds(comparison, work))',
        'const succeeded = txn.compare.length === 0 || txn.compare.some((comparison) => holds(comparison, work))',
      ),
    ],
  },
  {
    id: 'M924',
    title: 'each key of a range is deleted at a revision of its own',
    why: 'A read at a revision in between sees half of the range.',
    layers: SIM_UNIT,
    tests: TXN_TESTS,
    edits: [
      edit(
        TXN,
        '  for (const current of found) removeKey(current, rowKeyOf(current.key, work), revision, work)\n  return',
        '  for (const current of found)\n    removeKey(current, rowKeyOf(current.key, work), asRevision(Math.max(revision, state.revision + 1)), work)\n  return',
      ),
    ],
  },
  {
    id: 'M925',
    title: 'what was read for one entry serves the next one, too',
    why: 'A branch is decided, and a range deleted, on the keys that there were before.',
    layers: SIM_UNIT,
    tests: ['test/server/node/applier.test.ts', 'test/server/node/entry-reads.test.ts'],
    edits: [edit('src/server/node/applier.ts', '    if (this.#reads.isRead) this.#reads.clear()\n', '')],
  },

  // ---- history
  {
    id: 'M926',
    title: 'compaction of what is due does not raise the compact revision',
    why: 'A read at an earlier revision is served without the versions that were deleted.',
    layers: SIM_UNIT,
    tests: HISTORY_TESTS,
    edits: [
      edit(
        HISTORY,
        'compacted: asRevision(Math.max(history.compacted, last)),',
        'compacted: history.compacted,',
      ),
    ],
  },
  {
    id: 'M927',
    title: 'a read at a revision does not see what was changed at that revision',
    why: 'It shows the store as it was one revision before.',
    layers: SIM_UNIT,
    tests: HISTORY_TESTS,
    edits: [
      edit(
        LIVE_VERSIONS,
        'const isTooNew = this.#at !== undefined && revision > this.#at',
        'const isTooNew = this.#at !== undefined && revision >= this.#at',
      ),
    ],
  },

  // ---- leases and watches, a second list
  {
    id: 'M930',
    title: 'a leader ends leases though no majority has confirmed it',
    why: 'A deposed leader proposes to end what its successor keeps alive.',
    layers: UNIT,
    tests: LEASE_TESTS,
    edits: [
      edit(
        KEEPER,
        'if (problem !== undefined || lead?.term !== term) return ended(false)',
        'if (lead?.term !== term) return ended(false)',
      ),
    ],
  },
  {
    id: 'M931',
    title: 'a keep-alive is answered though no majority has confirmed the leader',
    why: 'A deposed leader promises a life that its successor does not know of.',
    layers: UNIT,
    tests: LEASE_TESTS,
    edits: [edit(KEEPER, '      if (problem !== undefined) return answer({ ok: false, problem })\n', '')],
  },
  {
    id: 'M932',
    title: 'a new leader begins with its table of leases before it has applied what came before its term',
    why: 'A renewal of its predecessor counts as its own.',
    layers: UNIT,
    tests: LEASE_TESTS,
    edits: [
      edit(
        KEEPER,
        "if (this.#phase === 'waiting' && this.#node.appliedTerm === term) this.#load(term)",
        "if (this.#phase === 'waiting') this.#load(term)",
      ),
    ],
  },
  {
    id: 'M933',
    title: 'a renewal in the log does not move the end of a lease that its leader has set',
    why: 'It ends early.',
    layers: UNIT,
    tests: LEASE_TESTS,
    edits: [
      edit(
        KEEPER,
        'held.isOwn ? Math.max(held.endsAtMs, endsAtMs) : endsAtMs',
        'held.isOwn ? held.endsAtMs : endsAtMs',
      ),
    ],
  },
  {
    id: 'M934',
    title:
      'a lease that was kept alive is not looked at again, neither in the index of deadlines nor when it is due',
    why: 'It ends at the time at which it would have ended without.',
    layers: SIM_UNIT,
    tests: LEASE_TESTS,
    edits: [
      edit(
        KEEPER,
        '      if (held.endsAtMs <= due.atMs) return due.atMs\n',
        '      if (held.endsAtMs <= Infinity) return due.atMs\n',
      ),
      edit(KEEPER, 'if (!isThere || held.endsAtMs > clusterTimeMs) {', 'if (!isThere) {'),
    ],
  },
  {
    id: 'M935',
    title:
      'a lease that was kept alive is dropped from the index of deadlines when its earlier end has passed',
    why: 'It never ends.',
    layers: UNIT,
    tests: LEASE_TESTS,
    edits: [
      edit(
        KEEPER,
        '      this.#deadlines.take()\n      held.due = undefined\n      this.#schedule(held)\n',
        '      this.#deadlines.take()\n      held.due = undefined\n',
      ),
    ],
  },
  {
    id: 'M936',
    title: 'leases whose entry has failed are not ended by another one',
    why: 'They live until the next change of leader.',
    layers: UNIT,
    tests: LEASE_TESTS,
    edits: [
      edit(
        KEEPER,
        'if (term === this.#term && !result.ok) for (const held of due) this.#again(held)',
        'if (term !== this.#term && !result.ok) for (const held of due) this.#again(held)',
      ),
    ],
  },
  {
    id: 'M937',
    title: 'a lease for which an entry that ends it is under way is kept alive in memory',
    why: 'The entry ends it after the answer.',
    layers: SIM_UNIT,
    tests: LEASE_TESTS,
    edits: [
      edit(
        KEEPER,
        'if (!held.isOwn || held.isEnding || promised > deadlineMs)',
        'if (!held.isOwn || promised > deadlineMs)',
      ),
    ],
  },
  {
    id: 'M938',
    title: 'a leader keeps in memory what an earlier one has renewed',
    why: 'An entry of the earlier leader that arrives late names the deadline that still holds.',
    layers: UNIT,
    tests: LEASE_TESTS,
    edits: [
      edit(
        KEEPER,
        'if (!held.isOwn || held.isEnding || promised > deadlineMs)',
        'if (held.isEnding || promised > deadlineMs)',
      ),
    ],
  },
  {
    id: 'M939',
    title: 'checkpoints of the time are a hundred times too rare',
    why: 'After a restart of all nodes leases live that much longer.',
    layers: SIM_UNIT,
    tests: LEASE_TESTS,
    edits: [
      edit(
        KEEPER,
        'if (clusterTimeMs - state.clusterTimeMs < this.#checkpointMs) return',
        'if (clusterTimeMs - state.clusterTimeMs < 100 * this.#checkpointMs) return',
      ),
    ],
  },
  {
    id: 'M940',
    title: 'a lease that ends while a new leader reads the table comes back',
    why: 'The leader ends it again and again, and keeps it alive for clients that ask.',
    layers: UNIT,
    tests: LEASE_TESTS,
    edits: [
      edit(
        KEEPER,
        "if (this.#phase === 'loading') this.#gone.add(id)\n",
        "if (this.#phase === 'waiting') this.#gone.add(id)\n",
      ),
    ],
  },
  {
    id: 'M941',
    title: 'a renewal may leave the deadline of a lease as it is',
    why: 'An entry that was made to end it before still ends it.',
    layers: UNIT,
    tests: [...LEASE_TESTS, 'test/kv/'],
    edits: [
      edit(
        LEASES,
        'Math.max(lease.deadlineMs + 1, deadlineFrom(lease.ttlMs, work.state))',
        'Math.max(lease.deadlineMs, deadlineFrom(lease.ttlMs, work.state))',
      ),
    ],
  },
  {
    id: 'M942',
    title: 'the end of a lease leaves its last key',
    why: 'The key stays, attached to a lease that does not exist.',
    layers: SIM_UNIT,
    tests: KV_LEASE_TESTS,
    edits: [edit(LEASE_COMMANDS, '  for (const key of keys) {\n', '  for (const key of keys.slice(1)) {\n')],
  },
  {
    id: 'M943',
    title: 'a put under the lease that its key has already drops the attachment',
    why: 'The key outlives its lease.',
    layers: UNIT,
    tests: KV_LEASE_TESTS,
    edits: [
      edit(
        LEASES,
        '  if (from === to) return\n',
        '  if (from === to) {\n    if (from !== undefined) unlink(from, key, work)\n    return\n  }\n',
      ),
    ],
  },
  {
    id: 'M944',
    title: 'leases that end are still counted',
    why: 'No lease can be granted any more when as many have ended as may exist.',
    layers: SIM_UNIT,
    tests: KV_LEASE_TESTS,
    edits: [edit(LEASES, 'count: state.leases.count - 1 }', 'count: state.leases.count }')],
  },
  {
    id: 'M945',
    title: 'a watch from the newest revision on begins behind it',
    why: 'Its event is lost.',
    layers: SIM_UNIT,
    tests: WATCH_TESTS,
    edits: [
      edit(HUB, 'if (from > revision) this.#goLive(watcher)', 'if (from >= revision) this.#goLive(watcher)'),
    ],
  },
  {
    id: 'M946',
    title: 'a watch whose time is over within a row of events leaves out the rest of the row',
    why: 'Its events are lost.',
    layers: UNIT,
    tests: WATCH_TESTS,
    edits: [edit(CATCH_UP, "this.#clock.now() >= until) return 'more'", 'this.#clock.now() >= until) break')],
  },
  {
    id: 'M947',
    title: 'a watch that compaction has overtaken goes on behind it',
    why: 'Events are left out silently. Like etcd before it had compact_revision in its answers.',
    layers: SIM_UNIT,
    tests: WATCH_TESTS,
    edits: [
      edit(
        CATCH_UP,
        "        this.#events.overtaken(watcher)\n        return 'done'\n",
        '        watcher.next = asRevision(compactRevision(state) + 1)\n        watcher.row = undefined\n        continue\n',
      ),
    ],
  },
  {
    id: 'M948',
    title: 'a watch that reads history does not look whether its client is full',
    why: 'What waits for a client that reads nothing grows without a bound.',
    layers: UNIT,
    tests: [...WATCH_TESTS, 'test/server/http/watch.int.test.ts'],
    edits: [
      edit(
        CATCH_UP,
        '        if (watcher.sink.isFull) {\n',
        "        if (watcher.sink.isFull && watcher.state === 'full') {\n",
      ),
    ],
  },
  {
    id: 'M949',
    title: 'a live watch does not look whether its client is full',
    why: 'What waits for a client that reads nothing grows without a bound.',
    layers: UNIT,
    tests: [...WATCH_TESTS, 'test/server/http/watch.int.test.ts'],
    edits: [
      edit(
        HUB,
        '    if (!watcher.sink.isFull) {\n',
        "    if (!watcher.sink.isFull || watcher.state === 'live') {\n",
      ),
    ],
  },
  {
    id: 'M950',
    title: 'a live watch is told the events of one revision one by one',
    why: 'A client that resumes after the first one misses the others.',
    layers: SIM_UNIT,
    tests: WATCH_TESTS,
    edits: [
      edit(
        HUB,
        '      this.#tellLive(watcher, revision, told)\n',
        '      for (const event of told) this.#tellLive(watcher, revision, [event])\n',
      ),
    ],
  },
  {
    id: 'M951',
    title: 'watches at a node without a leader go on in silence',
    why: 'Their clients take it that nothing changes.',
    layers: UNIT,
    tests: WATCH_TESTS,
    edits: [
      edit(
        DRIVER,
        '      this.#watches.leaderless(',
        '      if (watchLeaderlessMs < 0) this.#watches.leaderless(',
      ),
    ],
  },
  {
    id: 'M952',
    title: 'a leader that comes in time does not save the watches of a node',
    why: 'Each election ends them a little later.',
    layers: UNIT,
    tests: WATCH_TESTS,
    edits: [
      edit(
        DRIVER,
        '      this.#leaderlessTimer?.cancel()\n      this.#leaderlessTimer = undefined\n      return\n',
        '      return\n',
      ),
    ],
  },
  {
    id: 'M953',
    title: 'a watch that ends without a leader says the node stops',
    why: 'The client blames the node, and not its place.',
    layers: UNIT,
    tests: WATCH_TESTS,
    edits: [
      edit(
        WATCHING,
        "end.kind === 'no-leader' ? 'no_leader' : 'not_ready'",
        "end.kind === 'no-leader' ? 'not_ready' : 'not_ready'",
      ),
    ],
  },
  {
    id: 'M954',
    title: 'a node that has come back is not told the time',
    why: 'If it leads next, all leases live longer by as long as it was away.',
    layers: UNIT,
    tests: LEASE_TESTS,
    edits: [edit(KEEPER, '    this.#isTimeWanted = true\n    this.#arm()\n', '    this.#arm()\n')],
  },
  {
    id: 'M955',
    title: 'leases that are overdue are ended although they were kept alive meanwhile',
    why: 'They end early.',
    layers: UNIT,
    tests: LEASE_TESTS,
    edits: [edit(KEEPER, 'if (!isThere || held.endsAtMs > clusterTimeMs) {', 'if (!isThere) {')],
  },
  {
    id: 'M956',
    title: 'of the rows of leases that are read together those of the next lease count for the one before',
    why: 'A lease that ends takes keys of another one with it.',
    layers: UNIT,
    tests: ['test/server/node/entry-reads.test.ts'],
    edits: [
      edit(
        ENTRY_READS,
        'while (isBehind(leases[at], key)) at++',
        'if (keysAt(leases[at] as LeaseToRead).length >= 300 && isBehind(leases[at], key)) at++',
      ),
    ],
  },
  {
    id: 'M957',
    title: 'a keep-alive that was passed on has no whole number of milliseconds',
    why: 'No frame can hold it: each keep-alive at a follower fails.',
    layers: UNIT,
    tests: ['test/server/node/leases/forwarded.test.ts'],
    edits: [edit(FORWARDED, 'Math.max(1, Math.floor(timeoutMs))', 'Math.max(1, timeoutMs)')],
  },
  {
    id: 'M958',
    title: 'a keep-alive that was passed on is answered by whoever says something',
    why: 'A former leader, or an answer to another question, promises a life that nobody keeps.',
    layers: UNIT,
    tests: ['test/server/node/leases/forwarded.test.ts'],
    edits: [
      edit(
        FORWARDED,
        'if (this.#asked.get(number)?.leader === from)',
        'if (this.#asked.has(number) || from)',
      ),
    ],
  },
  {
    id: 'M959',
    title: 'a keep-alive that was sent to one leader waits for it after it has gone',
    why: 'It fails, though there is a leader.',
    layers: UNIT,
    tests: ['test/server/node/leases/forwarded.test.ts'],
    edits: [
      edit(
        FORWARDED,
        'if (asked.leader !== leader || asked.leader === broken)',
        'if (asked.leader === broken && leader !== null)',
      ),
    ],
  },
  {
    id: 'M960',
    title: 'a follower answers a keep-alive from its own table of leases',
    why: 'Nobody keeps the lease alive.',
    layers: UNIT,
    tests: LEASE_TESTS,
    edits: [
      edit(
        DRIVER,
        "askLeader: (...asked: Parameters<ForwardedKeepAlives['ask']>) => this.#forwarded.ask(...asked),",
        'askLeader: (ids, _, done) => (clock.soon(() => done(ids.map((id) => this.lease(id)?.grantedTtlMs))), true),',
      ),
    ],
  },
  {
    id: 'M961',
    title: 'a node that does not lead answers the keep-alives of others',
    why: 'They go from node to node, or become entries.',
    layers: UNIT,
    tests: LEASE_TESTS,
    edits: [
      edit(
        KEEPER,
        'if (this.#leading() === undefined) done(undefined)\n    else this.keepAlive',
        'this.keepAlive',
      ),
    ],
  },
  {
    id: 'M996',
    title: 'a watch that ends while it is told of an entry says that it was told of all of it',
    why: 'Its client goes on behind events that it never saw.',
    layers: UNIT,
    tests: WATCH_TESTS,
    edits: [
      edit(
        HUB,
        "if (watcher.state === 'live') return this.#sent",
        "if (watcher.state === 'live') return this.#state.revision",
      ),
    ],
  },

  // ---- watches, leases and history, a third list: the nearest tests had not seen these at first
  {
    id: 'M919',
    title: 'after a snapshot a live watch reads from behind its last event',
    why: 'One that had no event for long ends as compacted, although it lacks nothing.',
    layers: UNIT,
    tests: ['test/server/node/watch/hub.test.ts'],
    edits: [edit(HUB, '    if (watcher.next < revision) watcher.next = revision\n', '')],
  },
  {
    id: 'M928',
    title: 'ranges of one entry are told apart by their start alone',
    why: 'A transaction reads or deletes the keys of another one of its ranges.',
    layers: UNIT,
    tests: ['test/server/node/entry-reads.test.ts'],
    edits: [
      edit(
        ENTRY_READS,
        '  (a.end === undefined || b.end === undefined ? a.end === b.end : equalBytes(a.end, b.end))',
        '  (a.end === undefined) === (b.end === undefined)',
      ),
    ],
  },
  {
    id: 'M929',
    title: 'keys of a lease are kept when their scan was ended between two slices and is begun anew',
    why: 'They are there twice, and the node ends when the lease does.',
    layers: UNIT,
    tests: ['test/server/node/entry-reads.test.ts'],
    edits: [edit(ENTRY_READS, '    this.#attached.clear()\n    if (first', '    if (first')],
  },
  {
    id: 'M1001',
    title: 'each range of an entry may have as many bytes of keys as all together',
    why: 'A transaction that deletes many ranges of long keys keeps every node busy.',
    layers: UNIT,
    tests: ['test/server/node/entry-reads.test.ts'],
    edits: [edit(ENTRY_READS, 'this.#foundBytes += bytes\n', 'this.#foundBytes = 0 * bytes\n')],
  },
  {
    id: 'M1002',
    title: 'the keys of ranges are limited by their bytes while a member does not know it',
    why: 'Replicas of different versions decide differently.',
    layers: UNIT,
    tests: ['test/kv/txn.test.ts'],
    edits: [
      edit(
        'src/kv/settings.ts',
        'clusterVersion >= CLUSTER_VERSION_OF_KEY_BYTES',
        'clusterVersion + 1 >= CLUSTER_VERSION_OF_KEY_BYTES',
      ),
    ],
  },
  {
    id: 'M1003',
    title: 'a key that leaves a lease still counts in the bytes of its keys',
    why: 'A lease whose keys change refuses every further key after a while.',
    layers: UNIT,
    tests: KV_LEASE_TESTS,
    edits: [edit(LEASES, 'keyBytes: Math.max(0, keyBytes - key.length)', 'keyBytes')],
  },
  {
    id: 'M962',
    title: 'a scan of what an entry names stays open when a snapshot makes the entry superfluous',
    why: 'It keeps old rows on the disk for as long as the node runs.',
    layers: UNIT,
    tests: ['test/server/node/entry-reads.test.ts'],
    edits: [
      edit(
        ENTRY_READS,
        '    this.#scan?.close()\n    this.#scan = undefined\n    this.#places = []',
        '    this.#scan = undefined\n    this.#places = []',
      ),
    ],
  },
  {
    id: 'M963',
    title: 'a client that closes only its side of the connection keeps its watch',
    why: 'The watch has no end, and nobody reads it.',
    layers: UNIT,
    tests: ['test/server/http/watch.int.test.ts'],
    edits: [edit(HTTP_WATCH, "    socket?.once('end', leave)\n", '')],
  },
  {
    id: 'M964',
    title: 'each watch leaves a listener on its connection',
    why: 'On a connection that is kept alive they become more and more.',
    layers: UNIT,
    tests: ['test/server/http/watch.int.test.ts'],
    edits: [edit(HTTP_WATCH, "      socket?.off('end', leave)\n", '')],
  },
  {
    id: 'M965',
    title: 'a client for which nothing waits counts as full while others fill the memory of watches',
    why: 'It is told nothing any more: there is nothing that it could take first.',
    layers: UNIT,
    tests: ['test/server/http/watch.int.test.ts'],
    edits: [
      edit(
        WATCHING,
        '(own > least && this.bytes >= watchBuffersBytesMax)',
        'this.bytes >= watchBuffersBytesMax',
      ),
    ],
  },
  {
    id: 'M966',
    title: 'a watch that was cancelled before it has begun begins',
    why: 'It stays for as long as the connection, and its events have an id that may be in use again.',
    layers: UNIT,
    tests: ['test/server/mux/watch.int.test.ts'],
    edits: [
      edit(
        'src/server/mux/watch.ts',
        '    if (operation.isAbandoned) {\n      operation.end(0, [])\n      return\n    }\n',
        '',
      ),
    ],
  },
  {
    id: 'M967',
    title: 'a time to live is not raised to what an election takes over multiplexed connections',
    why: 'The lease may end while its leader is being elected. Over HTTP it is raised.',
    layers: UNIT,
    tests: ['test/server/mux/leases.int.test.ts'],
    edits: [
      edit(
        'src/server/mux/fields.ts',
        'return Math.max(leaseTtlMsMin, Math.ceil(field))',
        'return Math.ceil(field)',
      ),
    ],
  },
  {
    id: 'M968',
    title: 'once a node has come back the time is told every 100 ms without end',
    why: 'Ten entries a second are written by a store that does nothing.',
    layers: UNIT,
    tests: ['test/server/node/leases/lease-keeper.test.ts'],
    edits: [
      edit(
        KEEPER,
        '    this.#isTimeWanted = false\n    const term = this.#term\n',
        '    const term = this.#term\n',
      ),
    ],
  },
  {
    id: 'M969',
    title: 'history ends by one step, and the next one waits until somebody looks again',
    why: 'Where much is to be deleted, history grows faster than it ends.',
    layers: UNIT,
    tests: ['test/server/node/history-compactor.test.ts'],
    edits: [edit('src/server/node/history-compactor.ts', '      if (ok) this.check(looksAtAge)\n', '')],
  },
  {
    id: 'M1027',
    title: 'a watch that finds no room for its progress waits behind those that have left none',
    why: 'The same ones take the room each time, and it is never told any. It was ours.',
    layers: UNIT,
    tests: WATCH_TESTS,
    edits: [
      edit(
        HUB,
        'if (watcher.sink.isFull) return\n',
        'if (watcher.sink.isFull) {\n        watcher.sentAt = this.#clock.now() - watcher.progressMs / 2\n        return\n      }\n',
      ),
    ],
  },
  {
    id: 'M1030',
    title: 'the keys that a transaction gives to a lease are counted one by one',
    why: 'A lease gets more keys than may be deleted at once when it ends.',
    layers: UNIT,
    tests: ['test/kv/leases.test.ts'],
    edits: [edit(LEASES, '    this.#attached.set(id, now)\n', '')],
  },
  {
    id: 'M1031',
    title: 'each range of a request may have as many keys as all of them together',
    why: 'One entry reads and changes many times what the limit allows, and the node does nothing else meanwhile.',
    layers: SIM_UNIT,
    tests: ['test/server/node/entry-reads.test.ts'],
    edits: [edit(ENTRY_READS, 'countOf(this.#found) + keys.length, this', 'keys.length, this')],
  },
]
