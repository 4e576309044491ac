// A second, simple implementation of the store: the committed log replayed on maps. An entry only tells which request
// it holds. The request is replayed as its client sent it, and the entry must contain the same request. So this finds a
// codec that damages requests. The model shares no code with the store that gives a request its meaning, so it is
// unlikely that both have the same bug.

import {
  CLUSTER_VERSION,
  type Command,
  DEFAULT_SETTINGS,
  decodeRequest,
  type KeyCommand,
  type KeyRow,
  type Outcome,
  type Request,
  type Settings,
} from '../../src/kv/index.ts'
import type { SessionSlot } from '../../src/kv/types.ts'
import { ENTRY_KINDS_OF_CORE, frameBody, readHeader } from '../../src/raft/index.ts'

export interface ModelRow {
  readonly value: string
  readonly createRevision: number
  readonly modRevision: number
  readonly version: number
}

/** The effect of one committed entry. */
export interface Effect {
  /** The principal of the request; '' for an entry of the core. */
  readonly principal: string
  /** In the form of `shown`. */
  readonly outcome: string
  readonly replayed: boolean
  /** The request has a token or is in a session, so it may be committed more than once. */
  readonly keyed: boolean
}

interface Token {
  readonly asked: string
  readonly outcome: string
  /** How much of `idempotencyBytesMax` it uses. */
  readonly bytes: number
  readonly revision: number
  readonly clusterTimeMs: number
}

interface Session {
  readonly openedAtMs: number
  readonly slots: Map<number, Slot>
}

interface Slot {
  readonly seq: number
  readonly asked: string
  readonly outcome: string
  readonly bytes: number
}

/** What entries have changed, as history keeps it in one row. */
interface Events {
  readonly first: number
  readonly last: number
  readonly clusterTimeMs: number
  readonly count: number
  /** Of the versions that were replaced. */
  readonly bytes: number
}

const EVICTIONS_PER_ENTRY_MAX = 64
/** An entry begins a new row of events when the newest one has so many revisions. */
const REVISIONS_PER_ROW = 16
/** What one entry lets history forget at most. */
const EVENT_ROWS_MAX = 64
const EVENTS_MAX = 1024
const SESSIONS_MAX = 10_000
const SLOTS = 4096
/** One for a session that is forgotten and for a slot without a row, eight for one with a row. */
const STEPS_PER_ENTRY = 2056
export const NO_EFFECT: Effect = { principal: '', outcome: '', replayed: false, keyed: false }

export class Model {
  readonly #violated: (invariant: string, detail: string) => never
  /** The requests as their clients sent them, by principal. */
  readonly #asked = new Map<string, Request>()
  revision = 1
  /** How many tokens were forgotten. */
  evicted = 0
  /** Every version of every key, with the index of its entry. */
  readonly #versions = new Map<string, { readonly index: number; readonly row: ModelRow | null }[]>()
  readonly #revisions: number[] = [1, 1]
  /** In the order in which they were remembered. */
  readonly #tokens = new Map<string, Token>()
  #tokenBytes = 0
  /** Open ones, and one that is forgotten and still has rows. The oldest first. */
  readonly #sessions = new Map<number, Session>()
  #nextSession = 1
  #sessionHorizon = 1
  /** Slots of the session before the horizon whose rows may be there: those below. */
  #toSweep = 0
  #slotBytes = 0
  /** How many sessions were forgotten. */
  forgotten = 0
  #settings: Settings
  /** Sum of key and value bytes. */
  #storeBytes = 0
  #clusterTimeMs = 0
  /** What history keeps, the oldest first. */
  #events: Events[] = []
  /** The first revision of the newest row of events that there ever was. */
  #newestEvents = 0
  #compacted = 0
  #historyBytes = 0
  /** Keys that were not changed since history began. */
  readonly #inline = new Set<string>()
  /** Of the entry that is being applied. */
  #changes = { count: 0, bytes: 0 }
  #horizon = 0
  #index = 0

  constructor(clusterVersion: number, violated: (invariant: string, detail: string) => never) {
    this.#violated = violated
    this.#settings = { ...DEFAULT_SETTINGS, clusterVersion }
    if (clusterVersion >= 3) this.#compacted = this.revision
  }

  get index(): number {
    return this.#index
  }

  /** A client is about to send this request. A principal is unique to a request; a repeated request keeps it. */
  asked(request: Request): void {
    if (!this.#asked.has(request.principal)) this.#asked.set(request.principal, structuredClone(request))
  }

  /** Entries before this index are unknown. */
  startAt(index: number): void {
    this.#index = index
    while (this.#revisions.length <= index) this.#revisions.push(this.revision)
  }

  apply(frame: Uint8Array): Effect {
    const header = readHeader(frame)
    this.#index = header.index
    if (header.kind < ENTRY_KINDS_OF_CORE) {
      this.#revisions[header.index] = this.revision
      return NO_EFFECT
    }
    const request = this.#sent(decodeRequest(header.kind, header.version, frameBody(frame)))
    if (header.clusterTimeMs < this.#clusterTimeMs)
      this.#violated(
        'KV-12',
        `cluster time falls from ${this.#clusterTimeMs} to ${header.clusterTimeMs} at ${header.index}`,
      )
    this.#clusterTimeMs = header.clusterTimeMs
    const { revision } = this
    const hadHistory = this.#settings.clusterVersion >= 3
    this.#changes = { count: 0, bytes: 0 }
    const effect = this.#once(request)
    if (hadHistory && this.revision > revision) {
      this.#addEvents(revision + 1, header.clusterTimeMs)
    }
    this.#forgetSessions()
    this.#revisions[header.index] = this.revision
    return effect
  }

  #addEvents(from: number, clusterTimeMs: number): void {
    const { count, bytes } = this.#changes
    const last = this.revision
    const newest = this.#events.at(-1)
    if (newest !== undefined && newest.last - newest.first + 1 < REVISIONS_PER_ROW) {
      const all = { count: newest.count + count, bytes: newest.bytes + bytes }
      this.#events[this.#events.length - 1] = { first: newest.first, last, clusterTimeMs, ...all }
    } else this.#events.push({ first: from, last, clusterTimeMs, count, bytes })
    this.#newestEvents = this.#events.at(-1)?.first ?? 0
    this.#historyBytes += bytes
  }

  /** The request that the entry should hold, as it was sent. */
  #sent(entry: Request): Request {
    const ofNode = entry.command.kind === 'compact' ? COMPACTS : RAISES_VERSION
    const sent = entry.principal === '' ? ofNode : this.#asked.get(entry.principal)
    if (sent === undefined)
      this.#violated(
        'ANSWER-6',
        `${this.#index} holds a request of ${entry.principal}, who asked for nothing`,
      )
    if (textOf(entry) !== textOf(sent))
      this.#violated(
        'ANSWER-6',
        `${entry.principal} asked for ${textOf(sent)}, ${this.#index} holds ${textOf(entry)}`,
      )
    return sent
  }

  /** The key after everything up to `index` was applied. */
  at(key: string, index: number): ModelRow | null {
    const versions = this.#versions.get(key) ?? []
    for (let at = versions.length - 1; at >= 0; at--) {
      const version = versions[at]
      if (version !== undefined && version.index <= index) return version.row
    }
    return null
  }

  revisionAt(index: number): number {
    return this.#revisions[index] ?? this.revision
  }

  /** The counts after the newest entry. */
  get counts() {
    return {
      ...{ revision: this.revision, settings: this.#settings, storeBytes: this.#storeBytes },
      ...{ keys: this.keysAt(this.#index).length, tokens: this.#tokens.size, tokenBytes: this.#tokenBytes },
      ...{ sessions: [this.#sessionHorizon, this.#nextSession, this.#toSweep], slotBytes: this.#slotBytes },
      history: this.#history,
    }
  }

  get #history() {
    if (this.#settings.clusterVersion < 3) return { first: 0, newest: 0, compacted: 0, bytes: 0, inline: 0 }
    const [oldest] = this.#events
    return {
      first: oldest === undefined ? this.revision + 1 : oldest.first,
      newest: this.#newestEvents,
      compacted: this.#compacted,
      bytes: this.#historyBytes,
      inline: this.#inline.size,
    }
  }

  /** Every key that ever existed. */
  get keys(): string[] {
    return [...this.#versions.keys()].sort()
  }

  keysAt(index: number): string[] {
    return [...this.#versions.keys()].filter((key) => this.at(key, index) !== null).sort()
  }

  #once(request: Request): Effect {
    const { idempotency, principal, command } = request
    if (this.#settings.clusterVersion < 3 && command.kind === 'compact')
      this.#violated('KV-17', `${this.#index} holds a ${command.kind} at cluster version 2`)
    const isNew = command.kind === 'batch' || command.kind === 'open-session'
    if (
      this.#settings.clusterVersion < 2 &&
      (isNew || (idempotency !== undefined && 'session' in idempotency))
    )
      this.#violated('KV-17', `${this.#index} holds a ${command.kind} of ${principal} at cluster version 1`)
    if (idempotency === undefined) {
      const outcome = this.#execute(request)
      this.#evict(0)
      return { principal, outcome, replayed: false, keyed: false }
    }
    const asked = JSON.stringify([principal, plainly(command)])
    if ('session' in idempotency) return this.#inSession(request, idempotency, asked)
    const known = this.#tokens.get(idempotency.token)
    const refused = (code: string): Effect => {
      this.#evict(0)
      return { principal, outcome: `refused ${code} at ${this.revision}`, replayed: false, keyed: true }
    }
    if ('key' in request.command && request.command.prev) return refused('bad_request')
    if (known !== undefined && known.asked !== asked) return refused('idempotency_key_reused')
    if (known !== undefined) {
      this.#evict(0)
      return { principal, outcome: known.outcome, replayed: true, keyed: true }
    }
    const { since } = idempotency
    // No key and no setting has changed since the outcome that was forgotten at the newest revision.
    if (since !== undefined && since <= this.#horizon && since < this.revision)
      return refused('idempotency_expired')
    const isAhead = since !== undefined && since > this.revision
    const outcome = isAhead ? `refused bad_request at ${this.revision}` : this.#execute(request)
    const bytes = bytesToRemember(idempotency.token, outcome)
    this.#evict(bytes)
    this.#tokenBytes += bytes
    this.#tokens.set(idempotency.token, {
      ...{ asked, outcome, bytes },
      revision: this.revision,
      clusterTimeMs: this.#clusterTimeMs,
    })
    return { principal, outcome, replayed: false, keyed: true }
  }

  /** Makes room for `incoming` bytes; 0: only forgets what is due. */
  #evict(incoming: number): void {
    const { idempotencyTokensMax, idempotencyBytesMax, idempotencyAgeMsMax } = this.#settings
    let evicted = 0
    for (const [token, { revision, clusterTimeMs, bytes }] of this.#tokens) {
      const tooMany = this.#tokens.size + (incoming > 0 ? 1 : 0) > idempotencyTokensMax
      const tooLarge = this.#tokenBytes + incoming > idempotencyBytesMax
      const tooOld = this.#clusterTimeMs - clusterTimeMs > idempotencyAgeMsMax
      if (!(tooMany || tooLarge || tooOld) || evicted++ >= EVICTIONS_PER_ENTRY_MAX) return
      this.#tokens.delete(token)
      this.#tokenBytes -= bytes
      this.evicted++
      this.#horizon = revision
    }
  }

  /** At most once: by the number of the slot alone. */
  #inSession({ command, principal }: Request, { session, slot, seq }: SessionSlot, asked: string): Effect {
    const settled = (outcome: string, replayed = false): Effect => {
      this.#evict(0)
      return { principal, outcome, replayed, keyed: true }
    }
    const refused = (code: string): Effect => settled(`refused ${code} at ${this.revision}`)
    if ('key' in command && command.prev) return refused('bad_request')
    const slots = session < this.#sessionHorizon ? undefined : this.#sessions.get(session)?.slots
    if (slots === undefined) return refused('idempotency_expired')
    if (slot >= SLOTS) return refused('bad_request')
    const last = slots.get(slot)
    if (last !== undefined && seq < last.seq) return refused('idempotency_expired')
    if (last !== undefined && seq === last.seq)
      return asked === last.asked ? settled(last.outcome, true) : refused('idempotency_key_reused')
    const outcome = this.#execute({ command })
    // Table, session, slot; number, fingerprint, outcome.
    const bytes = 1 + 8 + 2 + 6 + 4 + outcomeBytes(outcome)
    this.#slotBytes += bytes - (last?.bytes ?? 0)
    slots.set(slot, { seq, asked, outcome, bytes })
    return settled(outcome)
  }

  #forgetSessions(): void {
    const { idempotencyBytesMax, idempotencyAgeMsMax } = this.#settings
    for (let steps = STEPS_PER_ENTRY; steps > 0; ) {
      const [oldest] = this.#sessions
      if (oldest === undefined) return
      const [number, { openedAtMs, slots }] = oldest
      if (number < this.#sessionHorizon) {
        this.#toSweep--
        const bytes = slots.get(this.#toSweep)?.bytes ?? 0
        this.#slotBytes -= bytes
        steps -= bytes > 0 ? 8 : 1
      } else if (
        this.#nextSession - number > SESSIONS_MAX ||
        this.#slotBytes > idempotencyBytesMax ||
        this.#clusterTimeMs - openedAtMs > idempotencyAgeMsMax
      ) {
        this.forgotten++
        steps--
        this.#sessionHorizon = number + 1
        this.#toSweep = Math.max(-1, ...slots.keys()) + 1
      } else return
      if (this.#toSweep === 0) this.#sessions.delete(number)
    }
  }

  #execute({ command }: Pick<Request, 'command'>): string {
    if (command.kind === 'open-session') {
      const session = this.#nextSession++
      this.#sessions.set(session, { openedAtMs: this.#clusterTimeMs, slots: new Map() })
      return `session ${session} at ${this.revision}`
    }
    if (command.kind === 'batch') {
      const outcomes = command.commands.map((each) => this.#executeOnKey(each))
      return `batch at ${this.revision}: ${outcomes.join(' | ')}`
    }
    if (command.kind === 'settings') {
      const settings = { ...this.#settings, ...command.settings }
      if (JSON.stringify(settings) !== JSON.stringify(this.#settings)) this.revision++
      if (settings.clusterVersion >= 3 && this.#settings.clusterVersion < 3) {
        this.#compacted = this.revision
        for (const key of this.keysAt(this.#index)) this.#inline.add(key)
      }
      this.#settings = settings
      return `settings at ${this.revision}`
    }
    if (command.kind === 'compact') return this.#compact(command.revision)
    if (command.kind === 'txn' || command.kind === 'delete-range')
      throw new Error('not asked for by any client')
    return this.#executeOnKey(command)
  }

  #compact(to: number | undefined): string {
    if (to !== undefined && to <= this.#compacted) return `refused compacted at ${this.revision}`
    if (to !== undefined && to > this.revision) return `refused future_revision at ${this.revision}`
    this.#compacted = to ?? this.#compacted
    const { historyRevisionsMax, historyBytesMax, historyAgeMs } = this.#settings
    let events = 0
    for (let row = 0; row < EVENT_ROWS_MAX && events < EVENTS_MAX; row++) {
      const [oldest] = this.#events
      if (oldest === undefined) break
      const { last, clusterTimeMs, count, bytes } = oldest
      const isDue =
        last <= this.#compacted ||
        this.revision - last >= historyRevisionsMax ||
        this.#historyBytes > historyBytesMax ||
        this.#clusterTimeMs - clusterTimeMs > historyAgeMs
      if (!isDue) break
      this.#events.shift()
      events += count
      this.#historyBytes -= bytes
      this.#compacted = Math.max(this.#compacted, last)
    }
    return `compacted ${this.#compacted} at ${this.revision}`
  }

  #executeOnKey(command: KeyCommand): string {
    const key = text(command.key)
    const before = this.at(key, this.#index)
    const { condition } = command
    const refused = (code: string): string => `refused ${code} at ${this.revision}`
    // A key that exists can always be deleted.
    const isLong = key.length > this.#settings.keyBytesMax
    if (isLong && (command.kind === 'put' || before === null)) return refused('key_too_long')
    if (command.kind === 'put' && command.value.length > this.#settings.valueBytesMax)
      return refused('value_too_large')
    const matches = (tags: 'any' | readonly number[]): boolean =>
      before !== null && (tags === 'any' || tags.includes(before.modRevision))
    const fails =
      condition !== undefined &&
      ((condition.ifMatch !== undefined && !matches(condition.ifMatch)) ||
        (condition.ifNoneMatch !== undefined && matches(condition.ifNoneMatch)))
    if (fails) return `failed at ${this.revision}, found ${before?.modRevision ?? 'nothing'}`
    const prev = command.prev ? ` instead of ${before?.value ?? 'nothing'}` : ''
    const freed = before === null ? 0 : key.length + before.value.length
    if (command.kind === 'delete') {
      if (before === null) return `deleted 0 at ${this.revision}${prev}`
      this.#storeBytes -= freed
      this.#change(key, null)
      return `deleted 1 at ${this.revision}${prev}`
    }
    const storeBytes = this.#storeBytes - freed + key.length + command.value.length
    // A write that does not make the store larger is accepted even when the store is full.
    if (storeBytes > Math.max(this.#settings.storeBytesMax, this.#storeBytes)) return refused('storage_full')
    this.#storeBytes = storeBytes
    const row = this.#change(key, {
      value: text(command.value),
      createRevision: before?.createRevision ?? this.revision + 1,
      modRevision: this.revision + 1,
      version: (before?.version ?? 0) + 1,
    })
    return `put at ${this.revision}: ${row?.createRevision}/${row?.modRevision}/${row?.version}${prev}`
  }

  #change(key: string, row: ModelRow | null): ModelRow | null {
    this.revision++
    const before = this.at(key, this.#index)
    this.#changes.count++
    this.#changes.bytes += before === null ? 0 : key.length + before.value.length
    this.#inline.delete(key)
    const versions = this.#versions.get(key)
    if (versions === undefined) this.#versions.set(key, [{ index: this.#index, row }])
    else versions.push({ index: this.#index, row })
    return row
  }
}

/** An outcome of the store in the model's words. */
export function shown(outcome: Outcome): string {
  const prev = (row: KeyRow | null | undefined): string =>
    row === undefined ? '' : ` instead of ${row === null ? 'nothing' : text(row.value)}`
  switch (outcome.kind) {
    case 'put':
      return `put at ${outcome.revision}: ${outcome.createRevision}/${outcome.modRevision}/${outcome.version}${prev(outcome.prev)}`
    case 'delete':
      return `deleted ${outcome.deleted} at ${outcome.revision}${prev(outcome.prev)}`
    case 'precondition-failed':
      return `failed at ${outcome.revision}, found ${outcome.current?.modRevision ?? 'nothing'}`
    case 'settings':
      return `settings at ${outcome.revision}`
    case 'session':
      return `session ${outcome.session} at ${outcome.revision}`
    case 'batch':
      return `batch at ${outcome.revision}: ${outcome.outcomes.map(shown).join(' | ')}`
    case 'compacted':
      return `compacted ${outcome.compactRevision} at ${outcome.revision}`
    case 'txn':
    case 'delete-range':
      return `${outcome.kind} at ${outcome.revision}`
    case 'refused':
      return `refused ${outcome.code} at ${outcome.revision}`
  }
}

/** The size of the two rows in docs/SPEC.md: the token with its outcome, and its place in the order of tokens. */
function bytesToRemember(token: string, outcome: string): number {
  const rows = [1 + token.length + FINGERPRINT_BYTES, 1 + 8 + ORDER_BYTES + token.length]
  return outcomeBytes(outcome) + rows.reduce((sum, bytes) => sum + bytes)
}

const FINGERPRINT_BYTES = 8
/** Cluster time, revision, size. */
const ORDER_BYTES = 8 + 8 + 4

/** The size of an outcome in the words of `shown`: its kind and its revision, and its numbers, flag or settings. */
function outcomeBytes(outcome: string): number {
  const head = 1 + 8
  if (outcome.startsWith('put')) return head + 3 * 8
  if (outcome.startsWith('deleted')) return head + 1
  if (outcome.startsWith('failed')) return head + 1 + (outcome.endsWith('nothing') ? 0 : 3 * 8)
  if (outcome.startsWith('session')) return head + 2 * 8
  if (outcome.startsWith('compacted')) return head + 8
  if (outcome.startsWith('batch'))
    return batched(outcome).reduce((sum, each) => sum + outcomeBytes(each), head + 2)
  if (outcome.startsWith('settings')) return head + 1 + 9 * Object.keys(DEFAULT_SETTINGS).length
  return head + 1 + 2 * 8
}

/** The outcomes of its commands, in the words of `shown`. */
const batched = (outcome: string): string[] => {
  const outcomes = outcome.slice(outcome.indexOf(':') + 2)
  return outcomes === '' ? [] : outcomes.split(' | ')
}

/** What a leader proposes by itself. */
const RAISES_VERSION: Request = {
  command: { kind: 'settings', settings: { clusterVersion: CLUSTER_VERSION } },
  idempotency: undefined,
  principal: '',
}

const COMPACTS: Request = {
  command: { kind: 'compact', revision: undefined },
  idempotency: undefined,
  principal: '',
}

const textOf = ({ idempotency, command }: Request): string =>
  JSON.stringify([Object.entries(idempotency ?? {}).sort(), plainly(command)])

/** The content of a request, without absent or undefined fields. */
function plainly(command: Command): unknown {
  if (command.kind === 'settings') return Object.entries(command.settings).sort()
  if (command.kind === 'batch') return command.commands.map(plainly)
  if (command.kind === 'compact') return [command.kind, command.revision ?? null]
  if (command.kind === 'open-session' || command.kind === 'txn' || command.kind === 'delete-range')
    return command.kind
  const { kind, key, condition, prev } = command
  const value = command.kind === 'put' ? text(command.value) : undefined
  return { kind, key: text(key), value, ...condition, prev }
}

/** Keys and values of the simulator are plain ASCII. */
export function text(bytes: Uint8Array): string {
  let string = ''
  for (const byte of bytes) string += String.fromCharCode(byte)
  return string
}

export function bytes(string: string): Uint8Array {
  const array = new Uint8Array(string.length)
  for (let at = 0; at < string.length; at++) array[at] = string.charCodeAt(at)
  return array
}
