// The body of an entry: the bytes of a request. The layout is documented here and comes from no serialisation library,
// because these bytes stay in logs and snapshots, and every replica must read them alike. Version 1 of each kind:
//
//   envelope      flags (1): 1 token, 2 since, 4 slot of a session (not with the others), 8 auth revision
//                 [auth revision (8)]
//                 [token: length (1), ASCII]  [since: revision (8)]
//                 [session (8), slot (2), number of the change (6)]
//   command       principal: length (1), ASCII
//                 flags (1): 1 If-Match, 2 If-None-Match, 4 answer with the row before
//                 [If-Match: tags]  [If-None-Match: tags]                               (`condition.ts`)
//     put         [lease (8), with flag 8]  [time to live (8), with flag 16]  key: length (2), bytes; value: the rest
//     delete      key: length (2), bytes
//     settings    `settings.ts`
//     open-session
//     compact     [revision (8)]
//     delete-range, txn                                                                 (`txn.ts`)
//     grant       lease (8), 0: apply chooses one; time to live (8)
//     renew       count (2), then for each: lease (8)
//     revoke      lease (8)
//     expire      count (2), then for each: lease (8), deadline (8)
//     auth        `auth/codec.ts`
//     batch       count (2), then for each command: 1 put or 2 delete (1), flags, tags and lease as above, key: length
//                 (2), bytes; put: value: length (4), bytes
//
// The fingerprint covers the second part: two requests are the same when these bytes are equal. A request has only one
// form, and no other form is decoded: encoding a decoded request again gives the same bytes.

import {
  Reader,
  writeAscii,
  writeBigUint64,
  writeUint8,
  writeUint16,
  writeUint32,
  writeUint48,
  writeUint64,
} from '../../bytes/index.ts'
import { encodeAuthCommand, readAuthCommand } from '../auth/codec.ts'
import { isSession } from '../client-sessions.ts'
import { readTags, tagsBytes, writeTags } from '../condition.ts'
import { assertNever, MalformedBytesError, UnknownKindError } from '../errors.ts'
import { readSettings, settingsBytes, writeSettings } from '../settings.ts'
import { placesOf } from '../txn.ts'
import type {
  BatchedCommand,
  Command,
  Condition,
  KeyCommand,
  KeysOrLease,
  LeaseCommand,
  PutLease,
  Request,
  Revision,
  SessionSlot,
} from '../types.ts'
import { asRevision } from '../types.ts'
import { leaseOf } from './rows.ts'
import { encodeRange, encodeTxn, readLeaseId, readPutLease, readRange, readTxn } from './txn.ts'

export const KIND_PUT = 16
const KIND_DELETE = 17
export const KIND_SETTINGS = 18
export const KIND_BATCH = 19
/** With 19 and its two bytes, it would have the fingerprint of settings without a change. */
export const KIND_OPEN_SESSION = 20
const KIND_COMPACT = 21
const KIND_DELETE_RANGE = 22
const KIND_TXN = 23
const KIND_GRANT = 24
const KIND_RENEW = 25
const KIND_REVOKE = 26
const KIND_EXPIRE = 27
const KIND_AUTH = 28
const KIND_LAST = KIND_AUTH
/** Leases that one entry names: what the routes accept, and what a leader ends at once. */
export const RENEW_LEASES_MAX = 1000
export const EXPIRE_LEASES_MAX = 128
/** Commands of one batch: what the routes accept. The format has room for 65 535. */
export const BATCH_COMMANDS_MAX = 1000
const VERSION = 1

const HAS_TOKEN = 1
const HAS_SINCE = 2
const HAS_SESSION = 4
const HAS_AUTH_REVISION = 8
const SESSION_BYTES = 16
const AUTH_REVISION_BYTES = 8
const HAS_IF_MATCH = 1
const HAS_IF_NONE_MATCH = 2
const WANTS_PREV = 4
const HAS_LEASE = 8
const HAS_TTL = 16
const BATCHED_PUT = 1
const BATCHED_DELETE = 2
const NO_CONDITION: Condition = { ifMatch: undefined, ifNoneMatch: undefined }

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
      return [command.range]
    case 'txn':
      return placesOf(command.txn)
    case 'settings':
    case 'open-session':
    case 'compact':
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

/** Whether entries of this kind name ranges, or leases whose keys they delete. */
export const namesRanges = (kind: number): boolean =>
  kind === KIND_TXN || kind === KIND_DELETE_RANGE || kind === KIND_REVOKE || kind === KIND_EXPIRE

/** Whether entries of this kind delete history, whose events are not counted before. */
export const forgetsHistory = (kind: number): boolean => kind === KIND_COMPACT

/**
 * Whether a request in this form does not make the store larger: it only deletes, or renews leases. Throws as
 * `parseRequest` does.
 */
export function takesNoRoom(kind: number, version: number, body: Uint8Array): boolean {
  if (kind !== KIND_BATCH) return KINDS_WITHOUT_ROOM.has(kind)
  const { command } = parseRequest(kind, version, body)
  return command.kind === 'batch' && command.commands.every((each) => each.kind === 'delete')
}

const KINDS_WITHOUT_ROOM: ReadonlySet<number> = new Set([
  KIND_DELETE,
  KIND_DELETE_RANGE,
  KIND_COMPACT,
  KIND_RENEW,
  KIND_REVOKE,
  KIND_EXPIRE,
  KIND_AUTH,
])

const KINDS: { readonly [kind in Command['kind']]: number } = {
  put: KIND_PUT,
  delete: KIND_DELETE,
  settings: KIND_SETTINGS,
  'open-session': KIND_OPEN_SESSION,
  batch: KIND_BATCH,
  compact: KIND_COMPACT,
  'delete-range': KIND_DELETE_RANGE,
  txn: KIND_TXN,
  grant: KIND_GRANT,
  renew: KIND_RENEW,
  revoke: KIND_REVOKE,
  expire: KIND_EXPIRE,
  auth: KIND_AUTH,
}

/** The exact number of bytes that `writeRequest` writes. */
export function requestBytes(request: Request): number {
  const { command, idempotency, principal, authRevision } = request
  let bytes = 1 + 1 + principal.length + 1
  if (authRevision !== undefined) bytes += AUTH_REVISION_BYTES
  if (idempotency !== undefined)
    bytes += isSession(idempotency)
      ? SESSION_BYTES
      : 1 + idempotency.token.length + (idempotency.since === undefined ? 0 : 8)
  if (command.kind === 'settings') return bytes + settingsBytes(command.settings)
  if (command.kind === 'open-session') return bytes
  if (command.kind === 'compact') return bytes + (command.revision === undefined ? 0 : 8)
  if (command.kind === 'delete-range') return bytes + encodeRange(command.range).length
  if (command.kind === 'txn') return bytes + encodeTxn(command.txn).length
  if (command.kind === 'grant') return bytes + 16
  if (command.kind === 'renew') return bytes + 2 + 8 * command.ids.length
  if (command.kind === 'revoke') return bytes + 8
  if (command.kind === 'expire') return bytes + 2 + 16 * command.leases.length
  if (command.kind === 'auth') return bytes + encodeAuthCommand(command).length
  if (command.kind === 'batch')
    return command.commands.reduce(
      (sum, each) => sum + 2 + commandBytes(each) + (each.kind === 'put' ? 4 : 0),
      bytes + 2,
    )
  return bytes + commandBytes(command)
}

/** The size of a change of one key, without its flags and without the length of its value. */
function commandBytes(command: KeyCommand): number {
  const { ifMatch, ifNoneMatch } = command.condition ?? NO_CONDITION
  let bytes = 2 + command.key.length + (command.kind === 'put' ? command.value.length : 0)
  if (ifMatch !== undefined) bytes += tagsBytes(ifMatch)
  if (ifNoneMatch !== undefined) bytes += tagsBytes(ifNoneMatch)
  if (command.kind === 'put' && command.lease !== undefined) bytes += LEASE_BYTES
  return bytes
}

/** The size of the id of a lease, or of a time to live. */
const LEASE_BYTES = 8

export function writeRequest(request: Request, target: Uint8Array, at: number): void {
  const commandAt = writeEnvelope(request, target, at)
  const optionsAt = writeText(request.principal, target, commandAt)
  const { command } = request
  if (command.kind === 'open-session') {
    target[optionsAt] = 0
    return
  }
  if (command.kind === 'settings') {
    target[optionsAt] = 0
    writeSettings(command.settings, target, optionsAt + 1)
    return
  }
  if (command.kind === 'compact') {
    target[optionsAt] = 0
    if (command.revision !== undefined) writeUint64(target, optionsAt + 1, command.revision)
    return
  }
  if (command.kind === 'delete-range' || command.kind === 'txn' || command.kind === 'auth') {
    target[optionsAt] = 0
    target.set(encodeRest(command), optionsAt + 1)
    return
  }
  if (
    command.kind === 'grant' ||
    command.kind === 'renew' ||
    command.kind === 'revoke' ||
    command.kind === 'expire'
  ) {
    target[optionsAt] = 0
    writeLeaseCommand(command, target, optionsAt + 1)
    return
  }
  if (command.kind === 'batch') {
    target[optionsAt] = 0
    writeBatch(command.commands, target, optionsAt + 1)
    return
  }
  const { key } = command
  const leaseAt = writeOptions(command.condition ?? NO_CONDITION, command.prev, target, optionsAt)
  const keyAt = command.kind === 'put' ? writePutLease(command.lease, target, optionsAt, leaseAt) : leaseAt
  writeUint16(target, keyAt, key.length)
  target.set(key, keyAt + 2)
  if (command.kind === 'put') target.set(command.value, keyAt + 2 + key.length)
}

function encodeRest(command: Extract<Command, { kind: 'delete-range' | 'txn' | 'auth' }>): Uint8Array {
  switch (command.kind) {
    case 'delete-range':
      return encodeRange(command.range)
    case 'txn':
      return encodeTxn(command.txn)
    case 'auth':
      return encodeAuthCommand(command)
    default:
      return assertNever(command, 'command')
  }
}

/** Also its flag, among the others at `flagsAt`. Returns where it ends. */
function writePutLease(lease: PutLease | undefined, target: Uint8Array, flagsAt: number, at: number): number {
  if (lease === undefined) return at
  const isOwn = 'ttlMs' in lease
  target[flagsAt] = (target[flagsAt] ?? 0) | (isOwn ? HAS_TTL : HAS_LEASE)
  if (isOwn) writeUint64(target, at, lease.ttlMs)
  else writeBigUint64(target, at, BigInt(lease.id))
  return at + LEASE_BYTES
}

function writeLeaseCommand(command: LeaseCommand, target: Uint8Array, at: number): void {
  switch (command.kind) {
    case 'grant':
      writeBigUint64(target, at, BigInt(command.id ?? 0))
      writeUint64(target, at + 8, command.ttlMs)
      return
    case 'renew':
      writeUint16(target, at, command.ids.length)
      for (const [i, id] of command.ids.entries()) writeBigUint64(target, at + 2 + 8 * i, BigInt(id))
      return
    case 'revoke':
      writeBigUint64(target, at, BigInt(command.id))
      return
    case 'expire':
      writeUint16(target, at, command.leases.length)
      for (const [i, { id, deadlineMs }] of command.leases.entries()) {
        writeBigUint64(target, at + 2 + 16 * i, BigInt(id))
        writeUint64(target, at + 10 + 16 * i, deadlineMs)
      }
      return
    default:
      assertNever(command, 'command')
  }
}

function writeBatch(commands: readonly BatchedCommand[], target: Uint8Array, at: number): void {
  writeUint16(target, at, commands.length)
  let next = at + 2
  for (const command of commands) {
    const { key } = command
    target[next] = command.kind === 'put' ? BATCHED_PUT : BATCHED_DELETE
    const flagsAt = next + 1
    next = writeOptions(command.condition ?? NO_CONDITION, false, target, flagsAt)
    if (command.kind === 'put') next = writePutLease(command.lease, target, flagsAt, next)
    writeUint16(target, next, key.length)
    target.set(key, next + 2)
    next += 2 + key.length
    if (command.kind === 'delete') continue
    writeUint32(target, next, command.value.length)
    target.set(command.value, next + 4)
    next += 4 + command.value.length
  }
}

export function decodeRequest(kind: number, version: number, body: Uint8Array): Request {
  const { command, token, since, slot, principal, authRevision } = parseRequest(kind, version, body)
  const idempotency = token === undefined ? slot : { token: tokenText(token), since }
  const request = { command, idempotency, principal }
  return authRevision === undefined ? request : { ...request, authRevision }
}

const tokenText = (token: Uint8Array): string =>
  new Reader(token, 'a token', MalformedBytesError).ascii(token.length)

/** A request as apply reads it. Its arrays share the bytes of the body. */
export interface ParsedRequest {
  readonly token: Uint8Array | undefined
  readonly since: Revision | undefined
  readonly slot: SessionSlot | undefined
  /** The fingerprint covers the body from this byte on. */
  readonly commandAt: number
  readonly principal: string
  readonly authRevision: number | undefined
  readonly command: Command
}

export function parseRequest(kind: number, version: number, body: Uint8Array): ParsedRequest {
  if (kind < KIND_PUT || kind > KIND_LAST) throw new UnknownKindError(`entry kind ${kind}`)
  if (version !== VERSION) throw new UnknownKindError(`version ${version} of entry kind ${kind}`)

  const from = new Reader(body, 'a request', MalformedBytesError)
  const flags = knownFlags(from, HAS_TOKEN | HAS_SINCE | HAS_SESSION | HAS_AUTH_REVISION)
  const authRevision = flags & HAS_AUTH_REVISION ? from.uint64() : undefined
  const envelope = flags & ~HAS_AUTH_REVISION
  if (envelope > HAS_SESSION) throw new MalformedBytesError('a session with a token or a since')
  const token = envelope & HAS_TOKEN ? from.slice(from.uint8()) : undefined
  if (token === undefined && envelope & HAS_SINCE) throw new MalformedBytesError('a since without a token')
  const since = envelope & HAS_SINCE ? asRevision(from.uint64()) : undefined
  const slot =
    envelope === HAS_SESSION
      ? { session: from.uint64(), slot: from.uint16(), seq: from.uint16() * 2 ** 32 + from.uint32() }
      : undefined
  const commandAt = from.at
  const principal = from.ascii(from.uint8())
  return { token, since, slot, commandAt, principal, authRevision, command: readCommand(kind, from) }
}

function readCommand(kind: number, from: Reader): Command {
  if (kind === KIND_SETTINGS) return readSettingsCommand(from)
  if (kind === KIND_PUT || kind === KIND_DELETE) return readKeyCommand(kind, from)
  knownFlags(from, 0)
  const command = readPlainCommand(kind, from)
  from.end()
  return command
}

function readPlainCommand(kind: number, from: Reader): Command {
  if (kind === KIND_BATCH) return { kind: 'batch', commands: readBatch(from) }
  if (kind === KIND_COMPACT)
    return { kind: 'compact', revision: from.left === 0 ? undefined : asRevision(from.uint64()) }
  if (kind === KIND_DELETE_RANGE) return { kind: 'delete-range', range: readRange(from) }
  if (kind === KIND_TXN) return { kind: 'txn', txn: readTxn(from) }
  if (kind === KIND_AUTH) return readAuthCommand(from)
  if (kind >= KIND_GRANT) return readLeaseCommand(kind, from)
  return { kind: 'open-session' }
}

function readLeaseCommand(kind: number, from: Reader): LeaseCommand {
  if (kind === KIND_GRANT) {
    const id = from.bigUint64()
    return { kind: 'grant', id: id === 0n ? undefined : leaseOf(id), ttlMs: from.uint64() }
  }
  if (kind === KIND_REVOKE) return { kind: 'revoke', id: readLeaseId(from) }
  const length = from.uint16()
  if (kind === KIND_RENEW) return { kind: 'renew', ids: Array.from({ length }, () => readLeaseId(from)) }
  const leases = Array.from({ length }, () => ({ id: readLeaseId(from), deadlineMs: from.uint64() }))
  return { kind: 'expire', leases }
}

function readBatch(from: Reader): readonly BatchedCommand[] {
  const commands: BatchedCommand[] = []
  for (let left = from.uint16(); left > 0; left--) {
    const kind = from.uint8()
    if (kind !== BATCHED_PUT && kind !== BATCHED_DELETE)
      throw new UnknownKindError(`command ${kind} in a batch`)
    const ofPut = kind === BATCHED_PUT ? HAS_LEASE | HAS_TTL : 0
    const flags = knownFlags(from, HAS_IF_MATCH | HAS_IF_NONE_MATCH | ofPut)
    const condition = readCondition(flags, from)
    const lease = readPutLease(from, (flags & HAS_LEASE) !== 0, (flags & HAS_TTL) !== 0)
    const key = from.slice(from.uint16())
    if (kind === BATCHED_DELETE) commands.push({ kind: 'delete', key, condition, prev: false })
    else commands.push({ kind: 'put', key, value: from.bytes(), condition, prev: false, lease })
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
  const ofPut = kind === KIND_PUT ? HAS_LEASE | HAS_TTL : 0
  const flags = knownFlags(from, HAS_IF_MATCH | HAS_IF_NONE_MATCH | WANTS_PREV | ofPut)
  const condition = readCondition(flags, from)
  const prev = (flags & WANTS_PREV) !== 0
  const lease = readPutLease(from, (flags & HAS_LEASE) !== 0, (flags & HAS_TTL) !== 0)

  const key = from.slice(from.uint16())
  if (kind === KIND_PUT) return { kind: 'put', key, value: from.rest(), condition, prev, lease }
  from.end()
  return { kind: 'delete', key, condition, prev }
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

function writeEnvelope({ idempotency, authRevision }: Request, target: Uint8Array, at: number): number {
  target[at] = authRevision === undefined ? 0 : HAS_AUTH_REVISION
  let next = at + 1
  if (authRevision !== undefined) {
    writeUint64(target, next, authRevision)
    next += AUTH_REVISION_BYTES
  }
  if (idempotency === undefined) return next
  if (isSession(idempotency)) {
    const { session, slot, seq } = idempotency
    target[at] |= HAS_SESSION
    writeUint64(target, next, session)
    writeUint16(target, next + 8, slot)
    writeUint48(target, next + 10, seq)
    return next + SESSION_BYTES
  }
  const { token, since } = idempotency
  target[at] |= HAS_TOKEN | (since === undefined ? 0 : HAS_SINCE)
  const sinceAt = writeText(token, target, next)
  if (since === undefined) return sinceAt
  writeUint64(target, sinceAt, since)
  return sinceAt + 8
}

function writeOptions(condition: Condition, prev: boolean, target: Uint8Array, at: number): number {
  const { ifMatch, ifNoneMatch } = condition
  target[at] =
    (ifMatch === undefined ? 0 : HAS_IF_MATCH) |
    (ifNoneMatch === undefined ? 0 : HAS_IF_NONE_MATCH) |
    (prev ? WANTS_PREV : 0)
  let next = at + 1
  for (const tags of [ifMatch, ifNoneMatch]) {
    if (tags === undefined) continue
    writeTags(tags, target, next)
    next += tagsBytes(tags)
  }
  return next
}

function writeText(text: string, target: Uint8Array, at: number): number {
  writeUint8(target, at, text.length)
  writeAscii(target, at + 1, text)
  return at + 1 + text.length
}
