// The layouts of a checkout: the bytes of samples of everything that is stored or sent, and what its decoders know,
// found by a try of every kind, version and flag.

import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import type { AppliedRaftState, ConfigurationChange } from '../../src/raft/types.ts'
import { asIndex, asReplicaId, asTerm } from '../../src/raft/types.ts'
import type { Modules } from './checkout.ts'
import { SETTINGS_OF_0_1_0 } from './founders.ts'
import { conversation, encodeFrames, ONE, TWO } from './frames.ts'
import { REQUESTS } from './requests.ts'

export interface Layouts {
  readonly versions: { readonly format: number; readonly protocol: number; readonly cluster: number }
  /** Bytes of data directories and backups. */
  readonly stored: Readonly<Record<string, string>>
  /** Bytes of frames between nodes. */
  readonly sent: Readonly<Record<string, string>>
  /** Kinds, versions and flags that decoders take. */
  readonly known: Readonly<Record<string, readonly number[]>>
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const BYTES = Array.from({ length: 256 }, (_, byte) => byte)
const BITS = Array.from({ length: 8 }, (_, bit) => 1 << bit)
const ZEROS = new Uint8Array(400)
const bytesOf = (...head: readonly number[]): Uint8Array => Uint8Array.of(...head, ...ZEROS)

const member = { id: TWO, name: 'n2', peer: 'n2:7401', url: 'http://n2' }
const CHANGES: readonly ConfigurationChange[] = [
  { kind: 'leave-joint' },
  {
    kind: 'change',
    steps: [
      { kind: 'add-learner', member },
      { kind: 'promote', id: TWO },
      { kind: 'demote', id: ONE },
      { kind: 'remove', id: ONE },
      { kind: 'update', member },
    ],
  },
]
const RAFT_STATE: AppliedRaftState = {
  configuration: {
    ...{ voters: [TWO], votersOutgoing: [ONE], learners: [asReplicaId('3')], learnersNext: [ONE] },
    ...{ demoted: [ONE], members: [member], removed: [asReplicaId('4')] },
  },
  leaderLeases: { on: true, durationMs: 750 },
}

export function layoutsOf(modules: Modules): Layouts {
  const { accept, forms, storage } = modules
  return {
    versions: {
      format: storage.FORMAT_VERSION,
      protocol: accept.PROTOCOL_VERSION,
      cluster: forms.CLUSTER_VERSION,
    },
    stored: stored(modules),
    sent: sent(modules),
    known: known(modules),
  }
}

function stored({ backup, chunks, digest, kv, raft, records, rows, storage }: Modules): Layouts['stored'] {
  const samples: Record<string, string> = {}
  for (const [at, request] of REQUESTS.entries()) {
    const { kind, version } = kv.requestKind(request)
    const body = hex(kv.encodeRequest(request, digest.commandDigest))
    samples[`request ${at}: ${request.command.kind}`] = `${kind} ${version} ${body}`
  }
  const position = { index: asIndex(7), term: asTerm(3) }
  const applied = { ...position, raft: Uint8Array.of(1), kv: Uint8Array.of(2) }
  const state = { applied, stateHash: 5n }
  const frame = raft.newFrame({ kind: 17, version: 1, proposer: TWO, boot: 3, seq: 2 }, 4)
  raft.stampFrame(raft.sealFrame(frame, crc32), asTerm(5), asIndex(9), 12)
  samples['frame of an entry'] = hex(frame)
  for (const change of CHANGES) samples[`configuration: ${change.kind}`] = hex(raft.encodeChange(change))
  samples['leader leases'] = hex(raft.encodeLeaderLeases({ on: true, durationMs: 750 }))
  samples['applied state of the core'] = hex(raft.encodeAppliedState(RAFT_STATE))
  // At the oldest cluster version: what a newer one adds to the registers has a layout of its own.
  let number = 1000
  const distinct = (value: unknown): unknown =>
    typeof value === 'number'
      ? number++
      : typeof value === 'object' && value !== null
        ? Object.fromEntries(Object.entries(value).map(([name, field]) => [name, distinct(field)]))
        : value
  const { settings, ...registers } = kv.initialState(SETTINGS_OF_0_1_0, '77')
  samples.registers = hex(kv.encodeState({ ...(distinct(registers) as typeof registers), settings }))
  samples.meta = hex(
    records.encodeMeta(
      {
        ...{ boot: 3, hardState: { term: asTerm(4), vote: TWO, commit: asIndex(6) } },
        ...{ logStart: position, logEnd: position, generation: 4, nextGeneration: 6, dead: [2, 3] },
        appliedAt: 1000,
      },
      1234,
    ),
  )
  samples['applied record'] = hex(records.encodeAppliedRecord(state, 1000))
  samples['staging record'] = hex(
    records.encodeStaging({
      ...{ ...state, id: '9-2-1', from: '9', generation: 5, nextChunk: 17, received: 4n },
      complete: true,
    }),
  )
  const row = { key: Uint8Array.of(65, 1), value: Uint8Array.of(7, 8) }
  samples.row = hex(
    new rows.Row(Uint8Array.of(9), row.key, storage.hashOfKey(row.key), row.value).stored ?? ZEROS,
  )
  samples['chunk of a snapshot'] = hex(chunks.encodeChunk('9-2-1', 3, [row]))
  const writer = new backup.BackupWriter()
  const header = {
    ...{ clusterId: '77', node: 'n1', version: '0.1.0', createdAtMs: 5, index: 7, term: 3 },
    ...{ hasHistory: true, users: 2, kv: Uint8Array.of(1), raft: Uint8Array.of(2) },
  }
  const file = [writer.begin(header), writer.rows([row]), writer.end()]
  samples['digest of a backup'] = createHash('sha256').update(Buffer.concat(file)).digest('hex')
  return samples
}

function sent(modules: Modules): Layouts['sent'] {
  const list = conversation(modules, crc32)
  const frames = encodeFrames(modules, list)
  return Object.fromEntries(list.map(({ type }, at) => [`frame ${at}: ${type}`, hex(frames[at] ?? ZEROS)]))
}

/** Whether `decode` takes the bytes for those of a kind that it knows. They may be malformed otherwise. */
function isKnown(decode: () => unknown): boolean {
  try {
    decode()
    return true
  } catch (error) {
    const { name, message } = error instanceof Error ? error : { name: '', message: '' }
    return name !== 'UnknownKindError' && !/\bunknown\b/.test(message)
  }
}

const knownAmong = (candidates: readonly number[], decode: (byte: number) => unknown): readonly number[] =>
  candidates.filter((byte) => isKnown(() => decode(byte)))

function known(modules: Modules): Layouts['known'] {
  const { authRows, bytes, kv, leases, linkCodec, operations, outcomeCodec, raft, requestCodec } = modules
  const reader = (body: Uint8Array) => new bytes.Reader(body, 'a sample', kv.MalformedBytesError)
  const parse = (kind: number, ...head: readonly number[]) =>
    requestCodec.parseRequest(kind, 1, bytesOf(...head))
  const found: Record<string, readonly number[]> = {}
  const kinds = knownAmong(BYTES, (kind) => requestCodec.parseRequest(kind, 1, ZEROS))
  found['kinds of requests'] = kinds
  for (const kind of kinds) {
    found[`versions of kind ${kind}`] = knownAmong(BYTES, (version) =>
      requestCodec.parseRequest(kind, version, ZEROS),
    )
    found[`flags of kind ${kind}`] = knownAmong(BITS, (flags) => parse(kind, 0, 0, flags))
    found[`flags of the envelope of kind ${kind}`] = knownAmong(BITS, (flags) => parse(kind, flags))
  }
  found['commands of a batch'] = knownAmong(BYTES, (kind) => parse(19, 0, 0, 0, 0, 1, kind))
  for (const kind of found['commands of a batch'])
    found[`flags of command ${kind} of a batch`] = knownAmong(BITS, (flags) =>
      parse(19, 0, 0, 0, 0, 1, kind, flags),
    )
  found.settings = knownAmong(BYTES, (id) => parse(18, 0, 0, 0, 1, id))
  found['changes of users and roles'] = knownAmong(BYTES, (kind) => parse(28, 0, 0, 0, 0, kind))
  found['forms of a place'] = knownAmong(BYTES, (form) => parse(22, 0, 0, 0, form))
  found['targets of a comparison'] = knownAmong(BYTES, (target) => parse(23, 0, 0, 0, 1, 0, 0, 0, target))
  found['operators of a comparison'] = knownAmong(BYTES, (op) => parse(23, 0, 0, 0, 1, 0, 0, 0, 0, op))
  found['operations of a transaction'] = knownAmong(BYTES, (kind) => parse(23, 0, 0, 0, 0, 1, kind))
  for (const kind of found['operations of a transaction'])
    found[`flags of operation ${kind} of a transaction`] = knownAmong(BITS, (flags) =>
      parse(23, 0, 0, 0, 0, 1, kind, flags),
    )
  const version = { key: Uint8Array.of(1), revision: kv.initialState().revision }
  found['flags of a version'] = knownAmong(BITS, (flags) =>
    kv.decodeVersion({ ...version, isTombstone: false }, bytesOf(flags & ~1)),
  )
  found['flags of a deletion'] = knownAmong(BITS, (flags) =>
    kv.decodeVersion({ ...version, isTombstone: true }, bytesOf(flags | 1)),
  )
  const ofEvents = (flags: number) => [
    ...kv.decodeEachEvent(version.revision, bytesOf(0, 0, 0, 0, 0, 0, 0, 0, 0, 1, flags)),
  ]
  found['flags of an event'] = knownAmong(BITS, ofEvents)
  found['flags of a lease'] = knownAmong(BITS, (flags) => leases.decodeLease(bytesOf(flags)))
  found['accesses of a permission'] = knownAmong(BYTES, (access) =>
    authRows.readPermissions(reader(bytesOf(0, 1, access))),
  )
  const [put] = REQUESTS
  const command = put?.command ?? { kind: 'open-session' as const }
  found.outcomes = knownAmong(BYTES, (code) => outcomeCodec.readOutcome(reader(bytesOf(code)), command))
  found.refusals = knownAmong(BYTES, (reason) =>
    outcomeCodec.readOutcome(reader(bytesOf(37, 0, 0, 0, 0, 0, 0, 0, 0, reason)), command),
  )
  found['cluster versions of the registers'] = knownAmong(BYTES.slice(1), (layout) =>
    kv.decodeState(bytesOf(layout)),
  )
  found['steps of a configuration'] = knownAmong(BYTES, (step) =>
    raft.decodeChange(bytesOf(1, 0, 0, 1, step)),
  )
  found['versions of records of the core'] = knownAmong(BYTES, (layout) =>
    raft.decodeAppliedState(bytesOf(layout)),
  )
  const frame = (code: number, ...head: readonly number[]) => {
    const read = linkCodec.readFrame(code, reader(bytesOf(...head)), { from: ONE, to: TWO })
    if (read.type === 'unknown') throw new RangeError(`frame ${code} is unknown`)
  }
  found['frames between nodes'] = knownAmong(BYTES, (code) => frame(code))
  const number = [0, 0, 0, 0, 0, 0, 0, 1]
  found['reports of a node'] = knownAmong(BYTES, (kind) => frame(38, ...number, kind))
  found['items of a multiplexed connection'] = BYTES.filter(
    (opcode) => operations.findByOpcode(opcode) !== undefined,
  )
  return found
}
