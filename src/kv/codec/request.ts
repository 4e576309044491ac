// The body of an entry: the bytes of a request. The layout is documented here and comes from no serialisation library,
// because these bytes stay in logs and snapshots, and every replica must read them alike. Version 1 of each kind:
//
//   envelope      flags (1): 1 token, 2 since, 4 slot of a session (not with the others), 8 auth revision, 16 rights on
//                 leases are needed (only with 8), 32 wall clock
//                 principal: length (1), ASCII
//                 [auth revision (8), auth revision at which the user was made (8)]
//                 [wall clock of the node that proposes it: milliseconds since 1970 (6)]
//                 [token: length (1), ASCII]  [since: revision (8)]
//                 [session (8), slot (2), number of the change (6)]
//                 [fingerprint of the command (16), with a token or a slot]
//   command       flags (1): 1 If-Match, 2 If-None-Match, 4 answer with the row before
//                 [If-Match: tags]  [If-None-Match: tags]                               (`condition.ts`)
//     put         [lease (8), with flag 8]  [time to live (8), with flag 16]  key: length (2), bytes; value: the rest;
//                 flag 32: the key keeps its value, flag 64: its lease
//     delete      key: length (2), bytes
//     settings    `settings.ts`
//     open-session
//     compact     [revision (8)]; flag 1: it must be higher than before
//     raise-revision   revision (8)
//     delete-range, txn                                                                 (`txn.ts`)
//     grant       lease (8), 0: apply chooses one; time to live (8)
//     renew       count (2), then for each: lease (8)
//     revoke      lease (8)
//     expire      count (2), then for each: lease (8), deadline (8)
//     auth        `auth/codec.ts`
//     batch       count (2), then for each command: 1 put or 2 delete (1), flags, tags and lease as above, key: length
//                 (2), bytes; put: value: length (4), bytes
//
// Two requests are the same when their commands are equal, whoever makes them. The node that encodes a request states
// the fingerprint of its command, so that apply needs no digest. A request has only one form, and no other form is
// decoded: encoding a decoded request again gives the same bytes.

import { assertNever, Reader, readUint8, Writer } from '../../bytes/index.ts'
import {
  asRevision,
  type Condition,
  type KeptParts,
  type LeaseDemand,
  NO_LEASES,
  type PutLease,
  type Revision,
  type SessionSlot,
} from '../../operations/forms/index.ts'
import { CLUSTER_VERSION } from '../../operations/forms/settings.ts'
import type { BatchedCommand } from '../../operations/index.ts'
import { readAuthState } from '../auth/changes.ts'
import { readAuthCommand, writeAuthCommand } from '../auth/codec.ts'
import { leasesToDecideOn } from '../auth/lease-rights.ts'
import { isSessionSlot } from '../client-sessions.ts'
import { commandLeaseDemands, commandRoom } from '../commands.ts'
import { readTags, writeTags } from '../condition.ts'
import { MalformedBytesError, UnknownKindError } from '../errors.ts'
import { readSettings, writeSettings } from '../settings.ts'
import { txnPlaces } from '../txn.ts'
import type { Command, CommandDigest, KeyCommand, KeysOrLease, KvState, Request, Rows } from '../types.ts'
import { FINGERPRINT_BYTES } from '../types.ts'
import { asLeaseId } from './rows.ts'
import {
  readLeaseId,
  readPutLease,
  readRange,
  readTxnCommand,
  withKeptParts,
  writeKeyBytes,
  writePutLease,
  writeTxn,
  writeWhere,
} from './txn.ts'

const KINDS = {
  put: 16,
  delete: 17,
  settings: 18,
  batch: 19,
  'open-session': 20,
  compact: 21,
  'delete-range': 22,
  txn: 23,
  grant: 24,
  renew: 25,
  revoke: 26,
  expire: 27,
  auth: 28,
  'raise-revision': 29,
} as const satisfies { readonly [kind in Command['kind']]: number }

/** The commands by the kinds of their entries. */
const COMMANDS: ReadonlyMap<number, Command['kind']> = new Map(
  (Object.keys(KINDS) as Command['kind'][]).map((command) => [KINDS[command], command]),
)

/** Leases that one entry ends. */
export const EXPIRE_LEASES_MAX = 128
const VERSION = 1

const HAS_TOKEN = 1
const HAS_SINCE = 2
const HAS_SESSION = 4
const HAS_AUTH_REVISION = 8
const HAS_LEASE_DEMANDS = 16
const HAS_TIME = 32
const HAS_IF_MATCH = 1
const HAS_IF_NONE_MATCH = 2
const WANTS_PREV = 4
const HAS_LEASE = 8
const HAS_TTL = 16
const KEEPS_VALUE = 32
const KEEPS_LEASE = 64
/** Flags of puts alone. */
const OF_PUT = HAS_LEASE | HAS_TTL | KEEPS_VALUE | KEEPS_LEASE
const ONLY_FORWARD = 1
const BATCHED_PUT = 1
const BATCHED_DELETE = 2
const NO_CONDITION: Condition = { ifMatch: undefined, ifNoneMatch: undefined }
const NO_PUT: KeptParts & { readonly lease?: PutLease } = {}

/** Kind and version that the entry's header must carry. */
export const requestKind = ({ command }: Request): { readonly kind: number; readonly version: number } => ({
  kind: KINDS[command.kind],
  version: VERSION,
})

/** The keys, ranges and leases whose keys an entry of this kind may need. Throws as `parseRequest` does. */
export function placesOfEntry(kind: number, version: number, body: Uint8Array): readonly KeysOrLease[] {
  const { command } = parseRequest(kind, version, body)
  switch (command.kind) {
    case 'put':
    case 'delete':
      return [{ key: command.key }]
    case 'batch':
      return command.commands.map(({ key }) => ({ key }))
    case 'delete-range':
      return [{ ...command.range, keysMax: undefined }]
    case 'txn':
      return txnPlaces(command.txn)
    case 'settings':
    case 'open-session':
    case 'compact':
    case 'raise-revision':
    case 'grant':
    case 'renew':
    case 'auth':
      return []
    case 'revoke':
      return [{ lease: command.id }]
    case 'expire':
      return command.leases.map(({ id }) => ({ lease: id }))
    default:
      return assertNever(command, 'command')
  }
}

/**
 * The leases whose keys must be read to decide whether the entry's user has the rights that it needs. The entry is the
 * next to be applied. Throws as `parseRequest` does.
 */
export function leasesOfEntry(
  kind: number,
  version: number,
  body: Uint8Array,
  state: KvState,
  rows: Rows,
): readonly KeysOrLease[] {
  const { leaseDemands, madeAt } = parseRequest(kind, version, body)
  const rights = readAuthState({ state, rows }).rightsOfUser(madeAt)
  const read = (rowKey: Uint8Array) => rows.read(rowKey, false)?.bytes
  const leases = leasesToDecideOn(leaseDemands, rights, state.settings, read) ?? []
  return leases.map((lease) => ({ lease, whole: true }))
}

/**
 * Throws `UnknownKindError` for an entry that only a newer program applies, and `MalformedBytesError`. `known`: the
 * newest cluster version that the replica knows.
 */
export function checkKnown(kind: number, version: number, body: Uint8Array, known = CLUSTER_VERSION): void {
  const needed = neededVersion(kind, version, body)
  if (needed > known) throw new UnknownKindError(`cluster version ${needed}`, `versions up to ${known}`)
}

/** The first kind of entry and the first flag of an envelope that cluster version 2 adds. */
const KIND_OF_2 = 29
const ENVELOPE_FLAG_OF_2 = 32

/** The cluster version of the programs that apply the entry. Throws as `parseRequest` does. */
export function neededVersion(kind: number, version: number, body: Uint8Array): number {
  const { command } = parseRequest(kind, version, body)
  if (command.kind === 'settings') return command.settings.clusterVersion ?? 1
  return kind >= KIND_OF_2 || readUint8(body, 0) >= ENVELOPE_FLAG_OF_2 ? 2 : 1
}

/** Whether the entry's user needs rights on leases. */
export const hasLeaseDemands = (body: Uint8Array): boolean => (readUint8(body, 0) & HAS_LEASE_DEMANDS) !== 0

/** Whether entries of this kind name ranges, or leases whose keys they delete. */
export const namesRanges = (kind: number): boolean =>
  kind === KINDS.txn || kind === KINDS['delete-range'] || kind === KINDS.revoke || kind === KINDS.expire

/** A batch with more puts that name a lease is applied in parts: each of them writes five rows and more. */
const LEASED_AT_ONCE = 64
/** So is a larger one: its keys are hashed several times. */
const BATCH_BYTES_AT_ONCE = 256 * 1024
/** The size of the smallest put that names a lease. */
const LEASED_PUT_BYTES = 16

/**
 * Whether an entry is applied in parts, however few keys its ranges have: it changes rows that are not counted before,
 * those of history or of many users, or it is a batch that takes long. Throws as `parseRequest` does.
 */
export function takesLong(kind: number, version: number, body: Uint8Array): boolean {
  if (kind !== KINDS.batch) return kind === KINDS.compact || kind === KINDS.auth
  if (body.length > BATCH_BYTES_AT_ONCE) return true
  if (body.length < LEASED_AT_ONCE * LEASED_PUT_BYTES) return false
  const { command } = parseRequest(kind, version, body)
  const commands = command.kind === 'batch' ? command.commands : []
  return commands.filter((each) => each.kind === 'put' && each.lease !== undefined).length > LEASED_AT_ONCE
}

/** Whether a command may write versions of keys. Then its request may have the time of the node that proposes it. */
export const writesVersions = ({ kind }: Command): boolean => WITH_TIME.has(KINDS[kind])

const WITH_TIME: ReadonlySet<number> = new Set([
  KINDS.put,
  KINDS.delete,
  KINDS.batch,
  KINDS['delete-range'],
  KINDS.txn,
  KINDS.revoke,
  KINDS.expire,
])

/**
 * Whether a request in this form does not make the store larger: it only deletes, or renews leases. Throws as
 * `parseRequest` does.
 */
export function freesSpace(kind: number, version: number, body: Uint8Array): boolean {
  if (kind !== KINDS.batch) return KINDS_THAT_FREE.has(kind)
  const { command } = parseRequest(kind, version, body)
  return command.kind === 'batch' && command.commands.every((each) => each.kind === 'delete')
}

const KINDS_THAT_FREE: ReadonlySet<number> = new Set(
  (Object.keys(KINDS) as Command['kind'][])
    .filter((kind) => commandRoom(kind) === 'frees')
    .map((kind) => KINDS[kind]),
)

const scratch = new Writer()

/** The body of a request's entry: a view, valid until the next call. */
export function encodeRequest(request: Request, digest: CommandDigest): Uint8Array {
  const { command, idempotency } = request
  const to = scratch.clear()
  writeEnvelope(request, to)
  if (idempotency === undefined) {
    writeCommand(command, to)
    return to.written()
  }
  const printAt = to.length
  const commandAt = printAt + FINGERPRINT_BYTES
  writeCommand(command, to.raw(NO_FINGERPRINT))
  const body = to.written()
  body.set(digest(KINDS[command.kind], body.subarray(commandAt)), printAt)
  return body
}

const NO_FINGERPRINT = new Uint8Array(FINGERPRINT_BYTES)

function writeEnvelope(request: Request, to: Writer): void {
  const { command, idempotency, principal, authRevision, madeAt = 0, timeMs } = request
  const hasDemands = commandLeaseDemands(command).length > 0
  const ofAuth = authRevision === undefined ? 0 : HAS_AUTH_REVISION | (hasDemands ? HAS_LEASE_DEMANDS : 0)
  const flags = ofAuth | (timeMs === undefined ? 0 : HAS_TIME)
  if (idempotency === undefined) to.uint8(flags)
  else if (isSessionSlot(idempotency)) to.uint8(flags | HAS_SESSION)
  else to.uint8(flags | HAS_TOKEN | (idempotency.since === undefined ? 0 : HAS_SINCE))
  to.uint8(principal.length).ascii(principal)
  if (authRevision !== undefined) to.uint64(authRevision).uint64(madeAt)
  if (timeMs !== undefined) to.uint48(timeMs)
  if (idempotency === undefined) return
  if (isSessionSlot(idempotency)) {
    to.uint64(idempotency.session).uint16(idempotency.slot).uint48(idempotency.seq)
    return
  }
  const { token, since } = idempotency
  to.uint8(token.length).ascii(token)
  if (since !== undefined) to.uint64(since)
}

function writeCommand(command: Command, to: Writer): void {
  if (command.kind === 'put' || command.kind === 'delete') {
    writeChange(command, to)
    if (command.kind === 'put') to.raw(command.value)
    return
  }
  to.uint8(command.kind === 'compact' && command.onlyForward ? ONLY_FORWARD : 0)
  switch (command.kind) {
    case 'settings':
      writeSettings(command.settings, to)
      return
    case 'open-session':
      return
    case 'compact':
      if (command.revision !== undefined) to.uint64(command.revision)
      return
    case 'raise-revision':
      to.uint64(command.revision)
      return
    case 'delete-range':
      writeWhere(command.range, to)
      return
    case 'txn':
      writeTxn(command.txn, to)
      return
    case 'grant':
      to.bigUint64(BigInt(command.id ?? 0)).uint64(command.ttlMs)
      return
    case 'renew':
      to.uint16(command.ids.length)
      for (const id of command.ids) to.bigUint64(BigInt(id))
      return
    case 'revoke':
      to.bigUint64(BigInt(command.id))
      return
    case 'expire':
      to.uint16(command.leases.length)
      for (const { id, deadlineMs } of command.leases) to.bigUint64(BigInt(id)).uint64(deadlineMs)
      return
    case 'auth':
      writeAuthCommand(command, to)
      return
    case 'batch':
      to.uint16(command.commands.length)
      for (const each of command.commands) {
        to.uint8(each.kind === 'put' ? BATCHED_PUT : BATCHED_DELETE)
        writeChange(each, to)
        if (each.kind === 'put') to.bytes(each.value)
      }
      return
    default:
      assertNever(command, 'command')
  }
}

/** A change of one key without its value. */
function writeChange(command: KeyCommand, to: Writer): void {
  const { ifMatch, ifNoneMatch } = command.condition ?? NO_CONDITION
  const { lease, keepsValue, keepsLease } = command.kind === 'put' ? command : NO_PUT
  to.uint8(
    (ifMatch === undefined ? 0 : HAS_IF_MATCH) |
      (ifNoneMatch === undefined ? 0 : HAS_IF_NONE_MATCH) |
      (command.prev ? WANTS_PREV : 0) |
      (lease === undefined ? 0 : 'ttlMs' in lease ? HAS_TTL : HAS_LEASE) |
      (keepsValue ? KEEPS_VALUE : 0) |
      (keepsLease ? KEEPS_LEASE : 0),
  )
  if (ifMatch !== undefined) writeTags(ifMatch, to)
  if (ifNoneMatch !== undefined) writeTags(ifNoneMatch, to)
  writePutLease(lease, to)
  writeKeyBytes(command.key, to)
}

export function decodeRequest(kind: number, version: number, body: Uint8Array): Request {
  const parsed = parseRequest(kind, version, body)
  const { command, token, since, slot, principal, authRevision, madeAt, timeMs } = parsed
  const idempotency = token === undefined ? slot : { token: tokenText(token), since }
  return {
    ...{ command, idempotency, principal },
    ...(authRevision === undefined ? {} : { authRevision, madeAt }),
    ...(timeMs === undefined ? {} : { timeMs }),
  }
}

const tokenText = (token: Uint8Array): string =>
  new Reader(token, 'a token', MalformedBytesError).ascii(token.length)

/** A request as apply reads it. Its arrays share the bytes of the body. */
export interface ParsedRequest {
  readonly token: Uint8Array | undefined
  readonly since: Revision | undefined
  readonly slot: SessionSlot | undefined
  /** The fingerprint of the command. Empty without a token and a slot. */
  readonly print: Uint8Array
  readonly principal: string
  readonly authRevision: number | undefined
  /** The auth revision at which the user was made; 0: rights were not checked. */
  readonly madeAt: number
  /** The wall clock of the node that proposed it, which nothing may depend on. */
  readonly timeMs: number | undefined
  readonly command: Command
  /** The rights on leases that its user needs. Empty if rights were not checked. */
  readonly leaseDemands: readonly LeaseDemand[]
}

export function parseRequest(kind: number, version: number, body: Uint8Array): ParsedRequest {
  const commandKind = COMMANDS.get(kind)
  if (commandKind === undefined) throw new UnknownKindError(`entry kind ${kind}`)
  if (version !== VERSION) throw new UnknownKindError(`version ${version} of entry kind ${kind}`)

  const from = new Reader(body, 'a request', MalformedBytesError)
  const flags = knownFlags(from, ENVELOPE_FLAGS)
  const principal = from.ascii(from.uint8())
  const authRevision = flags & HAS_AUTH_REVISION ? from.uint64() : undefined
  const madeAt = authRevision === undefined ? 0 : from.uint64()
  if ((flags & HAS_TIME) !== 0 && !WITH_TIME.has(kind))
    throw new MalformedBytesError('a time of a command that writes no version of a key')
  const timeMs = flags & HAS_TIME ? readUint48(from) : undefined
  const envelope = flags & ~(HAS_AUTH_REVISION | HAS_LEASE_DEMANDS | HAS_TIME)
  if (envelope > HAS_SESSION) throw new MalformedBytesError('a session with a token or a since')
  const token = envelope & HAS_TOKEN ? from.slice(from.uint8()) : undefined
  if (token === undefined && envelope & HAS_SINCE) throw new MalformedBytesError('a since without a token')
  const since = envelope & HAS_SINCE ? asRevision(from.uint64()) : undefined
  const slot =
    envelope === HAS_SESSION
      ? { session: from.uint64(), slot: from.uint16(), seq: readUint48(from) }
      : undefined
  const print = from.slice(token === undefined && slot === undefined ? 0 : FINGERPRINT_BYTES)
  const command = readCommand(commandKind, from)
  const leaseDemands = authRevision === undefined ? NO_LEASES : commandLeaseDemands(command)
  if (leaseDemands.length > 0 !== ((flags & HAS_LEASE_DEMANDS) !== 0))
    throw new MalformedBytesError('the flag of demands on leases does not fit the command')
  return { token, since, slot, print, principal, authRevision, madeAt, timeMs, command, leaseDemands }
}

const ENVELOPE_FLAGS = HAS_TOKEN | HAS_SINCE | HAS_SESSION | HAS_AUTH_REVISION | HAS_LEASE_DEMANDS | HAS_TIME

const readUint48 = (from: Reader): number => from.uint16() * 2 ** 32 + from.uint32()

function readCommand(kind: Command['kind'], from: Reader): Command {
  if (kind === 'settings') return readSettingsCommand(from)
  if (kind === 'put' || kind === 'delete') return readKeyCommand(KINDS[kind], from)
  const flags = knownFlags(from, kind === 'compact' ? ONLY_FORWARD : 0)
  const command = readPlainCommand(kind, flags, from)
  from.end()
  return command
}

function readPlainCommand(
  kind: Exclude<Command['kind'], 'settings' | 'put' | 'delete'>,
  flags: number,
  from: Reader,
): Command {
  switch (kind) {
    case 'batch':
      return { kind, commands: readBatch(from) }
    case 'open-session':
      return { kind }
    case 'compact':
      return readCompact(from, flags)
    case 'raise-revision':
      return { kind, revision: asRevision(from.uint64()) }
    case 'delete-range':
      return { kind, range: readRange(from) }
    case 'txn':
      return { kind, txn: readTxnCommand(from) }
    case 'grant': {
      const id = from.bigUint64()
      return { kind, id: id === 0n ? undefined : asLeaseId(id), ttlMs: from.uint64() }
    }
    case 'renew':
      return { kind, ids: Array.from({ length: from.uint16() }, () => readLeaseId(from)) }
    case 'revoke':
      return { kind, id: readLeaseId(from) }
    case 'expire': {
      const readExpired = () => ({ id: readLeaseId(from), deadlineMs: from.uint64() })
      return { kind, leases: Array.from({ length: from.uint16() }, readExpired) }
    }
    case 'auth':
      return readAuthCommand(from)
    default:
      return assertNever(kind, 'command')
  }
}

function readCompact(from: Reader, flags: number): Command {
  const command = {
    kind: 'compact' as const,
    revision: from.left === 0 ? undefined : asRevision(from.uint64()),
  }
  return flags === 0 ? command : { ...command, onlyForward: true }
}

function readBatch(from: Reader): readonly BatchedCommand[] {
  const commands: BatchedCommand[] = []
  for (let left = from.uint16(); left > 0; left--) {
    const kind = from.uint8()
    if (kind !== BATCHED_PUT && kind !== BATCHED_DELETE)
      throw new UnknownKindError(`command ${kind} in a batch`)
    const ofPut = kind === BATCHED_PUT ? OF_PUT : 0
    const flags = knownFlags(from, HAS_IF_MATCH | HAS_IF_NONE_MATCH | ofPut)
    const condition = readCondition(flags, from)
    const lease = readPutLease(from, (flags & HAS_LEASE) !== 0, (flags & HAS_TTL) !== 0)
    const key = from.slice(from.uint16())
    if (kind === BATCHED_DELETE) commands.push({ kind: 'delete', key, condition, prev: false })
    else
      commands.push(keeping({ kind: 'put', key, value: from.bytes(), condition, prev: false, lease }, flags))
  }
  return commands
}

function readSettingsCommand(from: Reader): Command {
  knownFlags(from, 0)
  const settings = readSettings(from)
  from.end()
  return { kind: 'settings', settings }
}

function readKeyCommand(kind: number, from: Reader): Command {
  const ofPut = kind === KINDS.put ? OF_PUT : 0
  const flags = knownFlags(from, HAS_IF_MATCH | HAS_IF_NONE_MATCH | WANTS_PREV | ofPut)
  const condition = readCondition(flags, from)
  const prev = (flags & WANTS_PREV) !== 0
  const lease = readPutLease(from, (flags & HAS_LEASE) !== 0, (flags & HAS_TTL) !== 0)

  const key = from.slice(from.uint16())
  if (kind === KINDS.put)
    return keeping({ kind: 'put', key, value: from.rest(), condition, prev, lease }, flags)
  from.end()
  return { kind: 'delete', key, condition, prev }
}

function keeping<P extends Extract<KeyCommand, { kind: 'put' }>>(put: P, flags: number): P {
  if ((flags & (KEEPS_VALUE | KEEPS_LEASE)) === 0) return put
  return withKeptParts(put, (flags & KEEPS_VALUE) !== 0, (flags & KEEPS_LEASE) !== 0)
}

function readCondition(flags: number, from: Reader): Condition | undefined {
  const ifMatch = flags & HAS_IF_MATCH ? readTags(from) : undefined
  const ifNoneMatch = flags & HAS_IF_NONE_MATCH ? readTags(from) : undefined
  return ifMatch === undefined && ifNoneMatch === undefined ? undefined : { ifMatch, ifNoneMatch }
}

function knownFlags(from: Reader, known: number): number {
  const { at } = from
  const flags = from.uint8()
  if ((flags & ~known) !== 0) throw new UnknownKindError(`request flags ${flags} at byte ${at}`)
  return flags
}
