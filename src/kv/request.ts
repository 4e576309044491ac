// The body of an entry: the bytes of a request. The layout is documented here and comes from no serialisation library,
// because these bytes stay in logs and snapshots, and every replica must read them alike. Version 1 of each kind:
//
//   envelope      flags (1): 1 token, 2 since
//                 [token: length (1), ASCII]  [since: revision (8)]
//   what is asked principal: length (1), ASCII
//                 flags (1): 1 If-Match, 2 If-None-Match, 4 answer with the row before
//                 [If-Match: tags]  [If-None-Match: tags]                               (`condition.ts`)
//     put         key: length (2), bytes; value: the rest
//     delete      key: length (2), bytes
//     settings    `settings.ts`
//
// The fingerprint covers the second part: two requests are the same when these bytes are equal. A request has only one
// form, and only that form is read: encoding a decoded request again gives the same bytes.

import { Reader, writeAscii, writeUint8, writeUint16, writeUint64 } from '../bytes/index.ts'
import { readTags, tagsBytes, writeTags } from './condition.ts'
import { MalformedBytesError, UnknownKindError } from './errors.ts'
import { readSettings, settingsBytes, writeSettings } from './settings.ts'
import type { Command, Condition, Idempotency, Request, Revision } from './types.ts'
import { asRevision } from './types.ts'

export const KIND_PUT = 16
export const KIND_DELETE = 17
export const KIND_SETTINGS = 18
const VERSION = 1

const HAS_TOKEN = 1
const HAS_SINCE = 2
const HAS_IF_MATCH = 1
const HAS_IF_NONE_MATCH = 2
const WANTS_PREV = 4
const NO_CONDITION: Condition = { ifMatch: undefined, ifNoneMatch: undefined }

/** Kind and version that the entry's header must carry. */
export const requestKind = ({ command }: Request): KindAndVersion => KINDS[command.kind]

interface KindAndVersion {
  readonly kind: number
  readonly version: number
}

const KINDS: { readonly [kind in Command['kind']]: KindAndVersion } = {
  put: { kind: KIND_PUT, version: VERSION },
  delete: { kind: KIND_DELETE, version: VERSION },
  settings: { kind: KIND_SETTINGS, version: VERSION },
}

/** The exact number of bytes that `writeRequest` writes. */
export function requestBytes(request: Request): number {
  const { command, idempotency, principal } = request
  let bytes = 1 + 1 + principal.length + 1
  if (idempotency !== undefined)
    bytes += 1 + idempotency.token.length + (idempotency.since === undefined ? 0 : 8)
  if (command.kind === 'settings') return bytes + settingsBytes(command.settings)
  const { ifMatch, ifNoneMatch } = command.condition ?? NO_CONDITION
  if (ifMatch !== undefined) bytes += tagsBytes(ifMatch)
  if (ifNoneMatch !== undefined) bytes += tagsBytes(ifNoneMatch)
  return bytes + 2 + command.key.length + (command.kind === 'put' ? command.value.length : 0)
}

export function writeRequest(request: Request, target: Uint8Array, at: number): void {
  const askedAt = writeEnvelope(request.idempotency, target, at)
  const optionsAt = writeText(request.principal, target, askedAt)
  const { command } = request
  if (command.kind === 'settings') {
    target[optionsAt] = 0
    writeSettings(command.settings, target, optionsAt + 1)
    return
  }
  const { key } = command
  const keyAt = writeOptions(command.condition ?? NO_CONDITION, command.prev, target, optionsAt)
  writeUint16(target, keyAt, key.length)
  target.set(key, keyAt + 2)
  if (command.kind === 'put') target.set(command.value, keyAt + 2 + key.length)
}

export function decodeRequest(kind: number, version: number, body: Uint8Array): Request {
  const { command, token, since, principal } = parseRequest(kind, version, body)
  const idempotency = token === undefined ? undefined : { token: tokenText(token), since }
  return { command, idempotency, principal }
}

const tokenText = (token: Uint8Array): string =>
  new Reader(token, 'a token', MalformedBytesError).ascii(token.length)

/** A request as apply reads it. Its arrays share the bytes of the body. */
export interface ParsedRequest {
  readonly token: Uint8Array | undefined
  readonly since: Revision | undefined
  /** The fingerprint covers the body from this byte on. */
  readonly askedAt: number
  readonly principal: string
  readonly command: Command
}

export function parseRequest(kind: number, version: number, body: Uint8Array): ParsedRequest {
  if (kind < KIND_PUT || kind > KIND_SETTINGS) throw new UnknownKindError(`entry kind ${kind}`)
  if (version !== VERSION) throw new UnknownKindError(`version ${version} of entry kind ${kind}`)

  const from = new Reader(body, 'a request', MalformedBytesError)
  const envelope = knownFlags(from, HAS_TOKEN | HAS_SINCE)
  const token = envelope & HAS_TOKEN ? from.slice(from.uint8()) : undefined
  if (token === undefined && envelope & HAS_SINCE) throw new MalformedBytesError('a since without a token')
  const since = envelope & HAS_SINCE ? asRevision(from.uint64()) : undefined
  const askedAt = from.at
  const principal = from.ascii(from.uint8())
  const command = kind === KIND_SETTINGS ? readSettingsCommand(from) : readKeyCommand(kind, from)
  return { token, since, askedAt, principal, command }
}

function readSettingsCommand(from: Reader): Command {
  knownFlags(from, 0)
  const settings = readSettings(from)
  from.end()
  return { kind: 'settings', settings }
}

function readKeyCommand(kind: number, from: Reader): Command {
  const flags = knownFlags(from, HAS_IF_MATCH | HAS_IF_NONE_MATCH | WANTS_PREV)
  const ifMatch = flags & HAS_IF_MATCH ? readTags(from) : undefined
  const ifNoneMatch = flags & HAS_IF_NONE_MATCH ? readTags(from) : undefined
  const condition = ifMatch === undefined && ifNoneMatch === undefined ? undefined : { ifMatch, ifNoneMatch }
  const prev = (flags & WANTS_PREV) !== 0

  const key = from.slice(from.uint16())
  if (kind === KIND_PUT) return { kind: 'put', key, value: from.rest(), condition, prev }
  from.end()
  return { kind: 'delete', key, condition, prev }
}

function knownFlags(from: Reader, known: number): number {
  const { at } = from
  const flags = from.uint8()
  if ((flags & ~known) !== 0) throw new UnknownKindError(`request flags ${flags} at byte ${at}`)
  return flags
}

function writeEnvelope(idempotency: Idempotency | undefined, target: Uint8Array, at: number): number {
  if (idempotency === undefined) {
    target[at] = 0
    return at + 1
  }
  const { token, since } = idempotency
  target[at] = HAS_TOKEN | (since === undefined ? 0 : HAS_SINCE)
  const sinceAt = writeText(token, target, at + 1)
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
