// Sessions and batches: a change is applied once, what is forgotten is given back, and old members do not stop.

import type { Mutant } from '../mutant.ts'
import { edit, KV_TESTS, SIM_UNIT, UNIT } from './edit.ts'

const APPLY = 'src/kv/apply.ts'
const DRIVER = 'src/server/node/driver.ts'
const OUTCOME = 'src/kv/codec/outcome.ts'
const SESSIONS = 'src/kv/client-sessions.ts'
const STATE = 'src/kv/codec/state.ts'
const STORE = 'src/storage/store.ts'
const VERSIONS = 'src/server/node/cluster-version.ts'
const VERSION_TESTS = ['test/server/node/cluster-version.test.ts']

export const SESSIONS_AND_BATCHES: readonly Mutant[] = [
  {
    id: 'M770',
    title: 'a change in a session with the number of the last one is a new change',
    why: 'A repeat is applied a second time.',
    layers: SIM_UNIT,
    tests: KV_TESTS,
    edits: [
      edit(SESSIONS, "if (seq > newest) return { kind: 'new'", "if (seq >= newest) return { kind: 'new'"),
    ],
  },
  {
    id: 'M771',
    title: 'a lower number than the newest of its slot is accepted',
    why: 'A late copy of a request is applied after the request that came after it.',
    layers: SIM_UNIT,
    tests: KV_TESTS,
    edits: [
      edit(
        SESSIONS,
        "  if (seq < newest) return refuse('seq-passed', [slot, newest])\n",
        "  if (seq < newest) return { kind: 'new', rowBytes: SLOT_KEY_BYTES + head.length }\n",
      ),
    ],
  },
  {
    id: 'M772',
    title: 'a refusal in a session is not remembered',
    why: 'A copy of the request is applied once there is room, although "nothing was written" was answered.',
    layers: SIM_UNIT,
    tests: KV_TESTS,
    edits: [
      edit(
        APPLY,
        '  state.sessions = rememberInSlot(state.sessions, slot,',
        "  if (outcome.kind !== 'refused')\n    state.sessions = rememberInSlot(state.sessions, slot,",
      ),
    ],
  },
  {
    id: 'M773',
    title: 'a request of a forgotten session is executed',
    why: 'A late copy is applied a second time, as its slot has no row any more.',
    layers: UNIT,
    tests: KV_TESTS,
    edits: [
      edit(
        SESSIONS,
        'if (session < sessions.horizon || session >= sessions.next)',
        'if (session >= sessions.next)',
      ),
    ],
  },
  {
    id: 'M774',
    title: 'forgetting a session does not raise the horizon',
    why: 'The session is open without the rows of its slots: copies are applied again.',
    layers: UNIT,
    tests: KV_TESTS,
    edits: [
      edit(SESSIONS, '  const horizon = oldest + 1\n', '  const horizon = oldest + (slots > 0 ? 0 : 1)\n'),
    ],
  },
  {
    id: 'M775',
    title: 'the rows of the next session are deleted',
    why: 'Requests of a session that is open are applied again.',
    layers: UNIT,
    tests: KV_TESTS,
    edits: [edit(SESSIONS, 'slotKey(sessions.horizon - 1, toSweep)', 'slotKey(sessions.horizon, toSweep)')],
  },
  {
    id: 'M776',
    title: 'the bytes of deleted slots are not given back',
    why: 'After a while every session is forgotten at once.',
    layers: SIM_UNIT,
    tests: KV_TESTS,
    edits: [edit(SESSIONS, 'return { ...sessions, toSweep, bytes }', 'return { ...sessions, toSweep }')],
  },
  {
    id: 'M777',
    title: 'the bytes of the row that a slot had are not given back',
    why: 'As before; a session that is used for long is enough.',
    layers: SIM_UNIT,
    tests: KV_TESTS,
    edits: [
      edit(
        SESSIONS,
        'bytes: sessions.bytes - before + SLOT_KEY_BYTES',
        'bytes: sessions.bytes + SLOT_KEY_BYTES',
      ),
    ],
  },
  {
    id: 'M778',
    title: 'a command of a batch reads its row as it was before the batch',
    why: 'Of two changes of one key the second takes the wrong revision and version, and conditions do not see the first.',
    layers: UNIT,
    tests: KV_TESTS,
    edits: [
      edit(
        APPLY,
        'command.commands.map((each) => executeOnKey(each, work))',
        `(() => {
        const before = new Map<string, ReturnType<Rows['read']>>()
        const read: Rows['read'] = (key, head) => {
          const name = \`\${head} \${key.join()}\`
          if (!before.has(name)) before.set(name, rows.read(key, head))
          return before.get(name)
        }
        const stale: Rows = { read, write: (change) => rows.write(change), inRange: (range) => rows.inRange(range), attached: (lease) => rows.attached(lease) }
        return command.commands.map((each) => executeOnKey(each, { ...work, rows: stale }))
      })()`,
      ),
    ],
  },
  {
    id: 'M779',
    title: 'a batch ends at the first condition that does not hold',
    why: 'The commands behind it are not done, and have no outcome.',
    layers: SIM_UNIT,
    tests: KV_TESTS,
    edits: [
      edit(
        APPLY,
        '      const outcomes = command.commands.map((each) => executeOnKey(each, work))\n',
        "      let failed = false\n      const outcomes = command.commands.map((each) => {\n        if (failed) return refused(state.revision, 'store-full')\n        const outcome = executeOnKey(each, work)\n        failed = outcome.kind === 'precondition-failed'\n        return outcome\n      })\n",
      ),
    ],
  },
  {
    id: 'M780',
    title: 'a repeated batch is answered with the outcomes in another order',
    why: 'A client takes the outcome of one key for that of another.',
    layers: UNIT,
    tests: KV_TESTS,
    edits: [
      edit(
        OUTCOME,
        'outcomes: commands.map((each) => readOutcomeOfKey(from, each)) }',
        'outcomes: commands.map((each) => readOutcomeOfKey(from, each)).reverse() }',
      ),
    ],
  },
  {
    id: 'M781',
    title: 'the revision is raised once for a batch',
    why: 'Changes of several keys have one revision: a condition on one of them holds for another.',
    layers: SIM_UNIT,
    tests: KV_TESTS,
    edits: [
      edit(
        APPLY,
        "      return { kind: 'batch', revision: state.revision, outcomes }\n",
        "      if (outcomes.length > 1) state.revision = asRevision(state.revision - 1)\n      return { kind: 'batch', revision: state.revision, outcomes }\n",
      ),
    ],
  },
  {
    id: 'M782',
    title: 'the fingerprint of a request in a session is not compared',
    why: "A client's mistake is answered with the outcome of another request.",
    layers: UNIT,
    tests: KV_TESTS,
    edits: [
      edit(
        SESSIONS,
        "  if (readUint32(row.bytes, 6) !== print) return refuse('token-reused')\n",
        "  if (readUint32(row.bytes, 6) !== print && seq < 0) return refuse('token-reused')\n",
      ),
    ],
  },
  {
    id: 'M783',
    title: 'the registers are written with sessions at cluster version 1',
    why: 'A member with an older program cannot read a snapshot, and stops.',
    layers: UNIT,
    tests: KV_TESTS,
    edits: [
      edit(
        STATE,
        '  const { clusterVersion: layout } = state.settings',
        '  const layout = Math.max(state.settings.clusterVersion, CLUSTER_VERSION_OF_SESSIONS)',
      ),
    ],
  },
  {
    id: 'M784',
    title: 'sessions are proposed at cluster version 1',
    why: 'Each member with an older program stops at that entry.',
    layers: UNIT,
    tests: VERSION_TESTS,
    edits: [
      edit(VERSIONS, '    if (needed > current) return', '    if (needed > current && current < 1) return'),
    ],
  },
  {
    id: 'M785',
    title: 'a leader that could not raise the cluster version does not try again',
    why: 'A cluster that was upgraded one member after the other never gets sessions.',
    layers: UNIT,
    tests: VERSION_TESTS,
    edits: [edit(DRIVER, '      this.#raisesVersion = false\n', '')],
  },
  {
    id: 'M786',
    title: 'the leader raises the cluster version again and again',
    why: 'It writes an entry every second without end.',
    layers: UNIT,
    tests: VERSION_TESTS,
    edits: [
      edit(DRIVER, 'clusterVersion >= CLUSTER_VERSION) return', 'clusterVersion > CLUSTER_VERSION) return'),
    ],
  },
  {
    id: 'M787',
    title: 'a session does not note which slots it has used',
    why: 'The rows of its slots are never deleted.',
    layers: UNIT,
    tests: KV_TESTS,
    edits: [
      edit(
        SESSIONS,
        '  if (before === 0) noteSlot(session, slot, rows)\n',
        '  if (before < 0) noteSlot(session, slot, rows)\n',
      ),
    ],
  },
  {
    id: 'M788',
    title: 'the next session is forgotten before the rows of the one before are deleted',
    why: 'Rows of the first session are never deleted, and more sessions are forgotten than needed.',
    layers: UNIT,
    tests: KV_TESTS,
    edits: [
      edit(
        SESSIONS,
        '    if (sessions.toSweep > 0) sessions = deleteSlot(sessions, rows)\n    else if (isOldestDue({ sessions, settings, clusterTimeMs })) sessions = forgetOldest(sessions, rows)\n',
        '    if (isOldestDue({ sessions, settings, clusterTimeMs })) sessions = forgetOldest(sessions, rows)\n    else if (sessions.toSweep > 0) sessions = deleteSlot(sessions, rows)\n',
      ),
    ],
  },
  {
    id: 'M789',
    title: 'half an entry may become durable when apply has thrown',
    why: 'The node starts again with rows that no other replica has.',
    layers: UNIT,
    tests: ['test/storage/store.test.ts'],
    edits: [
      edit(
        STORE,
        '    if (this.#isApplying)\n      throw',
        '    if (this.#isApplying && this.#isClosed)\n      throw',
      ),
    ],
  },
]
