// A second, simple implementation of the store: the committed log replayed on maps. An entry only tells which request
// it holds. The request is replayed as its client sent it, and the entry must contain the same request. So this finds a
// codec that damages requests. The model shares no code with the store that gives a request its meaning, so it is
// unlikely that both have the same bug.

import {
  type Command,
  DEFAULT_SETTINGS,
  decodeRequest,
  type KeyCommand,
  type LeaseCommand,
  neededVersion,
  type Outcome,
  type Request,
} from '../../../src/kv/index.ts'
import { SYSTEM_PRINCIPAL } from '../../../src/kv/types.ts'
import {
  type KvSettings,
  type SessionSlot,
  TTL_MS_MAX,
  TTL_MS_MIN,
} from '../../../src/operations/forms/index.ts'
import { ENTRY_KINDS_OF_CORE, frameBody, readHeader } from '../../../src/raft/index.ts'
import type { LeaseChange, LeaseEntry } from '../../checker/leases/index.ts'
import type { LoggedEvent } from '../../checker/watch/index.ts'
import { parseUser } from '../clients/permitted-requests.ts'
import { commandLeases, ModelRights } from './model-rights.ts'
import { type ModelRow, text } from './model-row.ts'
import {
  type ModelPut,
  modelPut,
  plainTxn,
  previousText,
  runTxn,
  shownPrevious,
  shownTxn,
  type TxnRun,
  type TxnStore,
} from './model-txn.ts'

interface ModelLease {
  readonly ttlMs: number
  readonly deadlineMs: number
  /** It ends with the value of the key that it was made for. */
  readonly owned: boolean
  /** The identity of the user to whom it was granted. */
  readonly owner: number
  /** Why its keys are being deleted, in parts. */
  readonly ending?: 'revoked' | 'expired'
}

/** The keys of a lease, as its row knows them. */
interface LeaseKeys {
  readonly count: number
  /** The beginning that they have in common. It does not grow when keys leave the lease. */
  readonly prefix: string
}

const NO_KEYS: LeaseKeys = { count: 0, prefix: '' }
const PREFIX_MAX = 20
/** From this cluster version on, a lease has any number of keys. */
const LEASE_PARTS = 2
/** An entry deletes so much less of a lease that ends in parts than it may delete. */
const PARTS = 10

/** The effect of one committed entry. */
export interface Effect {
  /** The principal of the request; '' for an entry of the core. */
  readonly principal: string
  /** Outcome in the form of `shown`. */
  readonly outcome: string
  readonly replayed: boolean
  /** The request has a token or is in a session, so it may be committed more than once. */
  readonly keyed: boolean
  /** Rights have changed since it was permitted: it has no effect. */
  readonly outdated?: true
}

interface Token {
  readonly token: string
  /** The identity of its user. */
  readonly by: number
  readonly request: string
  readonly outcome: string
  /** How much of `idempotencyBytesMax` it uses. */
  readonly bytes: number
  readonly revision: number
  readonly clusterTimeMs: number
}

interface Session {
  readonly openedAtMs: number
  /** The identity of the user who has opened it. */
  readonly openedBy: number
  readonly slots: Map<number, Slot>
}

interface Slot {
  readonly seq: number
  readonly request: string
  readonly outcome: string
  readonly bytes: number
}

/** Changes of entries that history keeps in one row. */
interface Events {
  readonly first: number
  readonly last: number
  readonly clusterTimeMs: number
  readonly count: number
  /** Bytes of the versions that were replaced. */
  readonly bytes: number
  /** Bytes of the events in the row. */
  readonly rowBytes: number
}

const EVICTIONS_PER_ENTRY_MAX = 64
/** An entry begins a new row of events when the newest one has so many revisions. */
const REVISIONS_PER_ROW = 16
/** And when it has so many bytes of events. */
const ROW_BYTES = 16 * 1024
/** Maximum that one entry lets history forget. */
const EVENT_ROWS_MAX = 64
const EVENTS_MAX = 1024
const SESSIONS_MAX = 10_000
const SLOTS = 4096
/** One for a session that is forgotten and for a slot without a row, eight for one with a row. */
const STEPS_PER_ENTRY = 2056
interface LeaseLife {
  readonly from: number
  to: number
}

interface Version {
  readonly index: number
  readonly revision: number
  readonly row: ModelRow | null
}

/** Leases that the puts of one request name. */
interface AddedLeases {
  /** Leases that they make, less those that end with the old values of their keys. */
  added: number
  /** The keys that leases have with these puts. */
  readonly attached: Map<string, readonly string[]>
}

export const NO_EFFECT: Effect = { principal: '', outcome: '', replayed: false, keyed: false }

export class StoreModel {
  readonly #violated: (invariant: string, detail: string) => never
  /** The content of the requests as their clients sent them, by principal. */
  readonly #requests = new Map<string, string>()
  readonly rights = new ModelRights()
  revision = 1
  /** How many tokens were forgotten. */
  evicted = 0
  /** Every version of every key, with the index of its entry. */
  readonly #versions = new Map<string, Version[]>()
  /** Every change of a key, in the order of the log. */
  readonly events: LoggedEvent[] = []
  /** Every entry with the time that it says, and what it has done to leases and to keys. */
  readonly entries: LeaseEntry[] = []
  /** When the store was compacted, and to where: the first index from which on it can be read from there on only. */
  readonly compactions: { readonly index: number; readonly revision: number }[] = []
  /** When leases with an id began and ended, by index. The newest is the last. */
  readonly #lives = new Map<string, LeaseLife[]>()
  /** The time of the simulation. */
  now: () => number = () => 0
  /** Receives what an entry has changed about leases and keys, in its order. */
  onLeaseChanges: (changes: readonly LeaseChange[]) => void = () => {}
  readonly #revisions: number[] = [1, 1]
  /** Tokens in the order in which they were remembered. */
  readonly #tokens = new Map<string, Token>()
  /** The same by token, of all users. */
  readonly #byToken = new Map<string, readonly Token[]>()
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
  #settings: KvSettings
  /** Sum of key and value bytes. */
  #storeBytes = 0
  #clusterTimeMs = 0
  /** Rows of history, the oldest first. */
  #events: Events[] = []
  /** The first revision of the newest row of events that there ever was. */
  #newestEvents = 0
  #compacted = 0
  #historyBytes = 0
  /** Keys that were not changed since history began. */
  /** Leases by id. */
  readonly #leases = new Map<string, ModelLease>()
  readonly #leaseKeys = new Map<string, LeaseKeys>()
  /** How many ids the store has chosen. */
  #idsChosen = Number(sipHash(new Uint8Array(16), 0n) >> 12n)
  /** The identity of the user who makes the request that is being applied. */
  #by = 0
  /** Changes of the entry that is being applied. */
  #changes = { count: 0, bytes: 0, rowBytes: 0 }
  #leaseChanges: LeaseChange[] = []
  #horizon = 0
  #index = 0

  /** `settings`: of the empty store. */
  constructor(violated: (invariant: string, detail: string) => never, settings = DEFAULT_SETTINGS) {
    this.#violated = violated
    this.#settings = settings
    this.#compactTo(this.revision)
  }

  get index(): number {
    return this.#index
  }

  /** A client is about to send this request. A principal is unique to a request; a repeated request keeps it. */
  requested(request: Request): void {
    if (!this.#requests.has(request.principal)) this.#requests.set(request.principal, requestText(request))
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
    const body = frameBody(frame)
    const request = this.#sent(decodeRequest(header.kind, header.version, body))
    const needed = neededVersion(header.kind, header.version, body)
    if (needed > this.#settings.clusterVersion && request.command.kind !== 'settings')
      this.#violated(
        'VERSION-1',
        `entry ${header.index} needs cluster version ${needed}, at ${this.#settings.clusterVersion}`,
      )
    if (header.clusterTimeMs < this.#clusterTimeMs)
      this.#violated(
        'KV-12',
        `cluster time falls from ${this.#clusterTimeMs} to ${header.clusterTimeMs} at ${header.index}`,
      )
    this.#clusterTimeMs = header.clusterTimeMs
    const { revision } = this
    this.#changes = { count: 0, bytes: 0, rowBytes: 0 }
    this.#leaseChanges = []
    const refusal = this.#checkRights(request)
    const effect = refusal === undefined ? this.#once(request) : this.#refused(request, refusal)
    const { term, clusterTimeMs: clusterMs } = header
    const checkpointMs = this.#settings.leaseCheckpointMs
    this.entries.push({ atMs: this.now(), term, clusterMs, checkpointMs, changes: this.#leaseChanges })
    this.onLeaseChanges(this.#leaseChanges)
    if (this.revision > revision) this.#addEvents(revision + 1, header.clusterTimeMs)
    this.#forgetSessions()
    this.#revisions[header.index] = this.revision
    return effect
  }

  /**
   * A request that was permitted at another auth revision needs the right now. At this one its user must have it: the
   * node has decided so.
   */
  #checkRights({ command, principal, authRevision, madeAt = 0 }: Request): string | undefined {
    const { enabled, revision } = this.rights
    if (principal === SYSTEM_PRINCIPAL || (!enabled && authRevision === undefined)) return undefined
    if (!enabled || authRevision === undefined) return 'permission_denied'
    const user = parseUser(principal)
    const need = this.rights.lacks(user, command)
    const isOutdated = authRevision !== revision
    if (isOutdated && (need !== undefined || !this.rights.isStill(user, madeAt, authRevision)))
      return 'permission_denied'
    if (need !== undefined)
      this.#violated(
        'AUTH-10',
        `${principal} has no right to ${JSON.stringify(need)} at ${this.#index}, where its ${command.kind} is applied`,
      )
    return this.#refusalOnLeases(user, command)
  }

  /** A lease may have other keys, or be another one, since the node has decided. */
  #refusalOnLeases(user: string, command: Command): string | undefined {
    const leases = [...new Set(commandLeases(command))].flatMap((id) => {
      const lease = this.#leases.get(id)
      const { prefix } = this.#leaseKeys.get(id) ?? NO_KEYS
      return lease === undefined ? [] : [{ owner: lease.owner, keys: this.#attachedKeys(id), prefix }]
    })
    const read = leases.filter(
      ({ keys, prefix }) =>
        this.rights.isDecidedByKeys(user) &&
        keys.length > 0 &&
        (!this.#hasParts || !this.rights.mayWritePrefix(user, prefix)),
    )
    if ((this.#hasParts || read.length > 1) && this.#areTooMany(read.flatMap(({ keys }) => keys)))
      return 'range_too_large'
    return leases.every((lease) => this.rights.mayUse(user, lease)) ? undefined : 'permission_denied'
  }

  /** Whether ranges, or leases, may not have so many keys together. */
  #areTooMany(keys: readonly string[]): boolean {
    const { rangeKeysMax, rangeBytesMax } = this.#settings
    return keys.length > rangeKeysMax || keys.join('').length > rangeBytesMax
  }

  get #hasParts(): boolean {
    return this.#settings.clusterVersion >= LEASE_PARTS
  }

  /** The keys that the next entry deletes which ends the lease. */
  #partOfLease({ ending }: ModelLease, keys: readonly string[]): readonly string[] {
    if (!this.#hasParts || (ending === undefined && !this.#areTooMany(keys))) return keys
    const { rangeKeysMax, rangeBytesMax } = this.#settings
    const [keysMax, bytesMax] = [Math.ceil(rangeKeysMax / PARTS), Math.ceil(rangeBytesMax / PARTS)]
    const fits = (_: string, at: number): boolean =>
      at === 0 || (at < keysMax && keys.slice(0, at + 1).join('').length <= bytesMax)
    return keys.filter(fits)
  }

  #attachedKeys(id: string): string[] {
    return this.keysAt(this.#index).filter((key) => this.at(key, this.#index)?.lease === id)
  }

  /** The identity of the user who makes the request; 0: rights are not checked. */
  #findIdentity(principal: string): number {
    return this.rights.enabled ? this.rights.findMadeAt(parseUser(principal)) : 0
  }

  #refused({ principal }: Request, code: string): Effect {
    const outcome = `refused ${code} at ${this.revision}`
    const effect = { principal, outcome, replayed: false, keyed: false }
    return code === 'permission_denied' ? { ...effect, outdated: true } : effect
  }

  #addEvents(from: number, clusterTimeMs: number): void {
    const { count, bytes, rowBytes } = this.#changes
    const last = this.revision
    const newest = this.#events.at(-1)
    const isRoom =
      newest !== undefined &&
      newest.last - newest.first + 1 < REVISIONS_PER_ROW &&
      newest.rowBytes < ROW_BYTES
    if (isRoom) {
      const all = { count: newest.count + count, bytes: newest.bytes + bytes }
      const row = { first: newest.first, last, clusterTimeMs, rowBytes: newest.rowBytes + rowBytes }
      this.#events[this.#events.length - 1] = { ...row, ...all }
    } else this.#events.push({ first: from, last, clusterTimeMs, count, bytes, rowBytes })
    this.#newestEvents = this.#events.at(-1)?.first ?? 0
    this.#historyBytes += bytes
  }

  /** The request that the entry should hold, as it was sent. */
  #sent(entry: Request): Request {
    // A node keeps leases alive for clients, and ends them, by entries of its own.
    if (entry.principal === SYSTEM_PRINCIPAL && entry.command.kind !== 'compact') return entry
    const sent = entry.principal === SYSTEM_PRINCIPAL ? COMPACTS : this.#requests.get(entry.principal)
    if (sent === undefined)
      this.#violated(
        'ANSWER-6',
        `${this.#index} holds a request of ${entry.principal}, which requested nothing`,
      )
    const text = requestText(entry)
    if (text !== sent)
      this.#violated('ANSWER-6', `${entry.principal} requested ${sent}, ${this.#index} holds ${text}`)
    return entry
  }

  /** The key after everything up to `index` was applied. */
  at(key: string, index: number): ModelRow | null {
    return this.#versions.get(key)?.findLast((version) => version.index <= index)?.row ?? null
  }

  /** The key at a revision. */
  atRevision(key: string, revision: number): ModelRow | null {
    return this.#versions.get(key)?.findLast((version) => version.revision <= revision)?.row ?? null
  }

  revisionAt(index: number): number {
    return this.#revisions[index] ?? this.revision
  }

  /** The store can be read at this revision and later ones, after everything up to `index` was applied. */
  compactedAt(index: number): number {
    let revision: number | undefined
    for (const compaction of this.compactions) if (compaction.index <= index) revision = compaction.revision
    return revision ?? this.revisionAt(index)
  }

  /** Indexes from which on there was a lease with this id, and from which on there was none. */
  livesOfLease(id: string): readonly Readonly<LeaseLife>[] {
    return this.#lives.get(id) ?? []
  }

  /** How long the leases that exist live at most, by the time in the log. */
  get leasesEndInMs(): number {
    return Math.max(
      0,
      ...[...this.#leases.values()].map(({ deadlineMs }) => deadlineMs - this.#clusterTimeMs),
    )
  }

  get leaseCount(): number {
    return this.#leases.size
  }

  /** The leases after the newest entry, by id. */
  get leases(): ReadonlyMap<string, ModelLease> {
    return this.#leases
  }

  get leaseCheckpointMs(): number {
    return this.#settings.leaseCheckpointMs
  }

  /** The counts after the newest entry. */
  get counts() {
    return {
      revision: this.revision,
      settings: this.#settings,
      storeBytes: this.#storeBytes,
      keys: this.keysAt(this.#index).length,
      tokens: this.#tokens.size,
      tokenBytes: this.#tokenBytes,
      sessions: [this.#sessionHorizon, this.#nextSession, this.#toSweep],
      slotBytes: this.#slotBytes,
      history: this.#history,
      leases: this.#leases.size,
    }
  }

  get #history() {
    const [oldest] = this.#events
    return {
      first: oldest === undefined ? this.revision + 1 : oldest.first,
      newest: this.#newestEvents,
      compacted: this.#compacted,
      bytes: this.#historyBytes,
      skipped: { after: 0, to: 0 },
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
    if (idempotency === undefined) {
      const outcome = this.#execute(request)
      this.#evict(0)
      return { principal, outcome, replayed: false, keyed: false }
    }
    const requestKey = JSON.stringify(plainly(command))
    if ('session' in idempotency) return this.#inSession(request, idempotency, requestKey)
    const by = this.#findIdentity(principal)
    const known = this.#knownToken(idempotency.token, by, requestKey)
    const refused = (code: string): Effect => {
      this.#evict(0)
      return { principal, outcome: `refused ${code} at ${this.revision}`, replayed: false, keyed: true }
    }
    if ('key' in request.command && request.command.prev) return refused('bad_request')
    if (known !== undefined && known.request !== requestKey) return refused('idempotency_key_reused')
    if (known !== undefined) {
      this.#evict(0)
      return { principal, outcome: known.outcome, replayed: true, keyed: true }
    }
    const { since } = idempotency
    // No key and no setting has changed since the outcome that was forgotten at the newest revision.
    if (since !== undefined && since <= this.#horizon && since < this.revision)
      return refused('idempotency_expired')
    const isAhead = since !== undefined && since > this.revision
    const refusal = `refused bad_request at ${this.revision}`
    const { outcome, remembered, bytes: outcomeBytes } = isAhead ? kept(refusal) : this.#executeKept(request)
    const bytes = bytesToRemember(idempotency.token, outcomeBytes)
    this.#evict(bytes)
    this.#tokenBytes += bytes
    this.#remember({
      token: idempotency.token,
      by,
      request: requestKey,
      outcome: remembered,
      bytes,
      revision: this.revision,
      clusterTimeMs: this.#clusterTimeMs,
    })
    return { principal, outcome, replayed: false, keyed: true }
  }

  #remember(token: Token): void {
    const name = `${token.by} ${token.token}`
    this.#tokens.set(name, token)
    this.#byToken.set(token.token, [...(this.#byToken.get(token.token) ?? []), token])
  }

  #forget(name: string): void {
    const known = this.#tokens.get(name)
    if (known === undefined) return
    this.#tokens.delete(name)
    const others = (this.#byToken.get(known.token) ?? []).filter((other) => other !== known)
    if (others.length > 0) this.#byToken.set(known.token, others)
    else this.#byToken.delete(known.token)
  }

  /** The outcome of the same request that the user may know, or else the outcome of the user's own token. */
  #knownToken(token: string, by: number, request: string): Token | undefined {
    const visible = (this.#byToken.get(token) ?? []).filter(
      (known) => by === 0 || known.by === by || known.by === 0,
    )
    const own = visible.find((known) => known.by === by)
    return own?.request === request ? own : (visible.find((known) => known.request === request) ?? own)
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
      this.#forget(token)
      this.#tokenBytes -= bytes
      this.evicted++
      this.#horizon = revision
    }
  }

  /** Executes a request at most once, by the number of the slot alone. */
  #inSession({ command, principal }: Request, { session, slot, seq }: SessionSlot, request: string): Effect {
    const settled = (outcome: string, replayed = false): Effect => {
      this.#evict(0)
      return { principal, outcome, replayed, keyed: true }
    }
    const refused = (code: string): Effect => settled(`refused ${code} at ${this.revision}`)
    if ('key' in command && command.prev) return refused('bad_request')
    const open = session < this.#sessionHorizon ? undefined : this.#sessions.get(session)
    const by = this.#findIdentity(principal)
    if (open === undefined) return refused('idempotency_expired')
    const { slots, openedBy } = open
    if (this.rights.enabled && openedBy !== by && openedBy !== 0) return refused('idempotency_expired')
    // Nobody's session only repeats.
    const isClosed = this.rights.enabled && openedBy === 0
    if (slot >= SLOTS) return refused('bad_request')
    const last = slots.get(slot)
    if (last !== undefined && seq < last.seq) return refused('idempotency_expired')
    if (last !== undefined && seq === last.seq)
      return request === last.request ? settled(last.outcome, true) : refused('idempotency_key_reused')
    if (isClosed) return refused('idempotency_expired')
    const { outcome, remembered, bytes: outcomeBytes } = this.#executeKept({ command, principal })
    // Table, session, slot; number, fingerprint, outcome.
    const bytes = 1 + 8 + 2 + 6 + FINGERPRINT_BYTES + outcomeBytes
    this.#slotBytes += bytes - (last?.bytes ?? 0)
    slots.set(slot, { seq, request, outcome: remembered, bytes })
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

  /** Executes a request that may be repeated. */
  #executeKept(request: Pick<Request, 'command' | 'principal'>): Required<TxnRun> {
    const { command } = request
    if (command.kind !== 'txn') return kept(this.#execute(request))
    this.#by = this.#findIdentity(request.principal)
    const { outcome, remembered, bytes } = runTxn(command.txn, this.#store)
    return bytes === undefined ? kept(outcome) : { outcome, remembered, bytes: 1 + 8 + bytes }
  }

  #execute({ command, principal }: Pick<Request, 'command' | 'principal'>): string {
    this.#by = this.#findIdentity(principal)
    if (command.kind === 'open-session') {
      const session = this.#nextSession++
      this.#sessions.set(session, { openedAtMs: this.#clusterTimeMs, openedBy: this.#by, slots: new Map() })
      return `session ${session} at ${this.revision} for ${this.#settings.idempotencyAgeMsMax} ms`
    }
    if (command.kind === 'batch') {
      const outcomes = command.commands.map((each) => this.#executeOnKey(each))
      return `batch at ${this.revision}: ${outcomes.join(' | ')}`
    }
    if (command.kind === 'settings') {
      const { clusterVersion } = this.#settings
      if ((command.settings.clusterVersion ?? clusterVersion) < clusterVersion)
        return `refused bad_request at ${this.revision}`
      const settings = { ...this.#settings, ...command.settings }
      if (JSON.stringify(settings) !== JSON.stringify(this.#settings)) this.revision++
      this.#settings = settings
      return `settings at ${this.revision}`
    }
    if (command.kind === 'compact') return this.#compact(command)
    if (command.kind === 'raise-revision') return this.#raiseRevision(command.revision)
    if (command.kind === 'txn') return runTxn(command.txn, this.#store).outcome
    if (command.kind === 'delete-range') {
      const { start, end } = command.range
      const store = this.#store
      const keys = store.findKeys(text(start), end && text(end))
      if (store.areTooMany(keys)) return `refused range_too_large at ${this.revision}`
      const deleted = keys.map((key) => store.del(key)).length
      return `delete-range ${deleted} at ${this.revision}`
    }
    if (command.kind === 'auth') {
      const refusal = this.rights.change(command)
      return refusal === undefined
        ? `auth ${this.rights.revision} at ${this.revision}`
        : `refused ${refusal} at ${this.revision}`
    }
    if (!('key' in command)) return this.#executeOnLeases(command)
    return this.#executeOnKey(command)
  }

  /** The store as a transaction sees it. All its changes share the revision that comes when it begins. */
  get #store(): TxnStore {
    const before = this.revision
    const change = (run: () => void): void => {
      this.revision = before
      run()
    }
    return {
      row: (key) => this.at(key, this.#index),
      findKeys: (start, end) =>
        this.keysAt(this.#index).filter((key) => key >= start && (end === undefined || key < end)),
      findAt: (revision, start, end) => {
        if (this.#unreadable(revision) !== undefined) return []
        return this.keys.flatMap((key): [string, ModelRow][] => {
          const row = this.atRevision(key, revision)
          const isThere = row !== null && key >= start && (end === undefined || key < end)
          return isThere ? [[key, row]] : []
        })
      },
      areTooMany: (keys) => this.#areTooMany(keys),
      areTooLarge: (bytes) => bytes > this.#settings.rangeBytesMax,
      refusal: (checked, freed) => this.#refusalOfTxn(checked, freed),
      put: (put) => {
        let row: ModelRow | null = null
        change(() => {
          row = this.#put(put)
        })
        if (row === null) throw new Error('a put leaves a row')
        return row
      },
      del: (key) => change(() => this.#delete(key)),
      get revision() {
        return before
      },
      after: () => this.revision,
    }
  }

  #unreadable(revision: number): string | undefined {
    if (revision > this.revision) return 'future_revision'
    return revision < this.#compacted ? 'compacted' : undefined
  }

  #refusalOfTxn(
    checked: readonly (ModelPut | { readonly at: number })[],
    freed: ReadonlySet<string>,
  ): string | undefined {
    let storeBytes = this.#storeBytes
    const added: AddedLeases = { added: 0, attached: new Map() }
    for (const put of checked) {
      if ('at' in put) {
        const unreadable = this.#unreadable(put.at)
        if (unreadable !== undefined) return unreadable
        continue
      }
      const { key, value, lease } = put
      if (key === '') return 'bad_request'
      if (key.length > this.#settings.keyBytesMax) return 'key_too_long'
      if ((value?.length ?? 0) > this.#settings.valueBytesMax) return 'value_too_large'
      if (this.#keepsNothing(put)) return 'not_found'
      const unfit = this.#leaseRefusal(lease, key, added)
      if (unfit !== undefined) return unfit
      storeBytes += key.length + this.#valueOf(put).length
    }
    for (const key of freed) storeBytes -= key.length + (this.at(key, this.#index)?.value.length ?? 0)
    return storeBytes > Math.max(this.#settings.storeBytesMax, this.#storeBytes) ? 'storage_full' : undefined
  }

  /** It should keep a part of a key that does not exist. */
  #keepsNothing({ key, value, lease }: ModelPut): boolean {
    return (value === undefined || lease === 'kept') && this.at(key, this.#index) === null
  }

  #valueOf({ key, value }: ModelPut): string {
    return value ?? this.at(key, this.#index)?.value ?? ''
  }

  #put(put: ModelPut): ModelRow | null {
    const { key, lease: added } = put
    const value = this.#valueOf(put)
    const before = this.at(key, this.#index)
    this.#storeBytes += value.length - (before === null ? -key.length : before.value.length)
    const lease =
      added === 'kept'
        ? before?.lease
        : added && ('id' in added ? added.id : this.#grant(undefined, added.ttlMs, true))
    const row = this.#change(key, {
      value,
      createRevision: before?.createRevision ?? this.revision + 1,
      modRevision: this.revision + 1,
      version: (before?.version ?? 0) + 1,
      lease,
    })
    this.#endOwned(before, lease)
    return row
  }

  /** A key that exists. */
  #delete(key: string): void {
    const before = this.at(key, this.#index)
    if (before === null) return
    this.#storeBytes -= key.length + before.value.length
    this.#change(key, null)
    this.#endOwned(before, undefined)
  }

  #executeOnLeases(command: LeaseCommand): string {
    switch (command.kind) {
      case 'grant': {
        if (!isTtl(command.ttlMs)) return `refused bad_request at ${this.revision}`
        if (command.id !== undefined && this.#leases.has(command.id))
          return `refused lease_exists at ${this.revision}`
        if (this.#leases.size >= this.#settings.leasesMax) return `refused storage_full at ${this.revision}`
        const id = this.#grant(command.id, command.ttlMs, false)
        return `granted ${id} at ${this.revision} for ${command.ttlMs} ms`
      }
      case 'renew': {
        const ttlsMs = command.ids.map((id) => this.#renew(id))
        return `renewed at ${this.revision} for ${ttlsMs.map(msText).join()}`
      }
      case 'revoke': {
        if (!this.#leases.has(command.id)) return `refused lease_not_found at ${this.revision}`
        const { deleted, left } = this.#endLease(command.id, 'revoked')
        return revokedText(this.revision, deleted, left)
      }
      case 'expire': {
        let [leases, deleted] = [0, 0]
        const inPart = new Set<string>()
        for (const { id, deadlineMs } of command.leases)
          if (this.#leases.get(id)?.deadlineMs === deadlineMs && !inPart.has(id)) {
            const part = this.#endLease(id, 'expired')
            deleted += part.deleted
            if (part.left === 0) leases++
            else inPart.add(id)
          }
        return `expired ${leases} at ${this.revision} with ${deleted}`
      }
    }
  }

  #renew(id: string): number | undefined {
    const lease = this.#leases.get(id)
    if (lease === undefined || lease.ending !== undefined) return undefined
    const { ttlMs } = lease
    const deadlineMs = Math.max(this.#deadlineAfter(ttlMs), lease.deadlineMs + 1)
    this.#leases.set(id, { ...lease, deadlineMs })
    this.#leaseChanges.push({ what: 'renewed', id, ttlMs, deadlineMs })
    return ttlMs
  }

  #deadlineAfter(ttlMs: number): number {
    return this.#clusterTimeMs + ttlMs + this.#settings.leaseCheckpointMs
  }

  #grant(chosen: string | undefined, ttlMs: number, owned: boolean): string {
    let id = chosen
    while (id === undefined) {
      const next = sipHash(this.rights.leaseIdKey, BigInt(++this.#idsChosen))
      if (next !== 0n && !this.#leases.has(`${next}`)) id = `${next}`
    }
    const deadlineMs = this.#deadlineAfter(ttlMs)
    this.#leases.set(id, { ttlMs, deadlineMs, owned, owner: this.#by })
    this.#lives.set(id, [...(this.#lives.get(id) ?? []), { from: this.#index, to: Number.POSITIVE_INFINITY }])
    this.#leaseChanges.push({ what: 'granted', id, ttlMs, deadlineMs })
    return id
  }

  /** Deletes the keys of a lease, or the next part of them, in their order, at one revision. */
  #endLease(id: string, why: 'revoked' | 'expired'): { readonly deleted: number; readonly left: number } {
    const { revision } = this
    const lease = this.#leases.get(id)
    const keys = this.#attachedKeys(id)
    const part = lease === undefined ? keys : this.#partOfLease(lease, keys)
    for (const key of part) {
      this.revision = revision
      this.#storeBytes -= key.length + (this.at(key, this.#index)?.value.length ?? 0)
      this.#change(key, null)
    }
    const left = keys.length - part.length
    const ending = lease?.ending ?? why
    if (lease === undefined || left === 0) this.#forgetLease(id, ending)
    else {
      this.#leases.set(id, { ...lease, ending })
      if (lease.ending === undefined) this.#endLife(id)
      this.#leaseChanges.push({ what: 'part', id, why: ending })
    }
    return { deleted: part.length, left }
  }

  #forgetLease(id: string, what: 'revoked' | 'expired' | 'replaced'): void {
    const isEnding = this.#leases.get(id)?.ending !== undefined
    this.#leases.delete(id)
    this.#leaseKeys.delete(id)
    if (!isEnding) this.#endLife(id)
    this.#leaseChanges.push({ what, id })
  }

  /** For clients there is no such lease any more. */
  #endLife(id: string): void {
    const life = this.#lives.get(id)?.at(-1)
    if (life !== undefined) life.to = this.#index
  }

  #compactTo(revision: number): void {
    if (revision > this.#compacted) this.compactions.push({ index: this.#index, revision })
    this.#compacted = Math.max(this.#compacted, revision)
  }

  /** Raised by no client of the simulator while it has keys: only refusals are compared then. */
  #raiseRevision(to: number): string {
    if (to < this.revision || (to > this.revision && this.keysAt(this.#index).length > 0))
      return `refused bad_request at ${this.revision}`
    this.revision = to
    return `revision raised to ${to}`
  }

  #compact({ revision: to, onlyForward }: Extract<Command, { kind: 'compact' }>): string {
    if (to !== undefined && (to < this.#compacted || (onlyForward && to === this.#compacted)))
      return `refused compacted at ${this.revision}`
    if (to !== undefined && to > this.revision) return `refused future_revision at ${this.revision}`
    this.#compactTo(to ?? this.#compacted)
    const { historyRevisionsMax, historyBytesMax, historyAgeMs } = this.#settings
    let events = 0
    for (let row = 0; row < EVENT_ROWS_MAX && events < EVENTS_MAX; row++) {
      const [oldest] = this.#events
      if (oldest === undefined) break
      const { last, clusterTimeMs, count, bytes } = oldest
      const isDue =
        last < this.#compacted ||
        this.revision - last >= historyRevisionsMax ||
        this.#historyBytes > historyBytesMax ||
        this.#clusterTimeMs - clusterTimeMs > historyAgeMs
      if (!isDue) break
      this.#events.shift()
      events += count
      this.#historyBytes -= bytes
      this.#compactTo(last)
    }
    return `compacted ${this.#compacted} at ${this.revision}`
  }

  #executeOnKey(command: KeyCommand): string {
    const key = text(command.key)
    const before = this.at(key, this.#index)
    const { condition } = command
    const refused = (code: string): string => `refused ${code} at ${this.revision}`
    // A key that exists can always be deleted.
    if (key === '') return refused('bad_request')
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
    if (fails) return `failed at ${this.revision}, found ${foundText(before)}`
    const put = command.kind === 'put' ? modelPut(command) : undefined
    const unfit = put && this.#leaseRefusal(put.lease, key)
    if (unfit !== undefined) return refused(unfit)
    if (put !== undefined && this.#keepsNothing(put)) return refused('not_found')
    const prev = command.prev ? previousText(key, before) : ''
    if (put === undefined) {
      if (before === null) return `deleted 0 at ${this.revision}${prev}`
      this.#delete(key)
      return `deleted 1 at ${this.revision}${prev}`
    }
    const freed = before === null ? 0 : key.length + before.value.length
    const storeBytes = this.#storeBytes - freed + key.length + this.#valueOf(put).length
    // A write that does not make the store larger is accepted even when the store is full.
    if (storeBytes > Math.max(this.#settings.storeBytesMax, this.#storeBytes)) return refused('storage_full')
    const row = this.#put(put)
    return `put at ${this.revision}: ${row?.createRevision}/${row?.modRevision}/${row?.version}${prev}`
  }

  /** `added`: the leases of the puts before this one in the same request. */
  #leaseRefusal(
    lease: ModelPut['lease'],
    key: string,
    added: AddedLeases = { added: 0, attached: new Map() },
  ): string | undefined {
    if (lease === undefined || lease === 'kept') return undefined
    const before = this.at(key, this.#index)
    const { leasesMax } = this.#settings
    if ('ttlMs' in lease) {
      if (!isTtl(lease.ttlMs)) return 'bad_request'
      const endsOwn = before?.lease !== undefined && this.#leases.get(before.lease)?.owned
      if (!endsOwn) added.added++
      return added.added > 0 && this.#leases.size + added.added > leasesMax ? 'storage_full' : undefined
    }
    const known = this.#leases.get(lease.id)
    if (known === undefined || known.ending !== undefined) return 'lease_not_found'
    if (before?.lease === lease.id) return undefined
    if (known.owned) return 'bad_request'
    const attached = [...(added.attached.get(lease.id) ?? this.#attachedKeys(lease.id)), key]
    added.attached.set(lease.id, attached)
    return !this.#hasParts && this.#areTooMany(attached) ? 'range_too_large' : undefined
  }

  #endOwned(before: ModelRow | null, now: string | undefined): void {
    const lease = before?.lease
    if (lease !== undefined && lease !== now && this.#leases.get(lease)?.owned)
      this.#forgetLease(lease, 'replaced')
  }

  #moveKey(key: string, from: string | undefined, to: string | undefined): void {
    if (from === to) return
    const before = from === undefined ? NO_KEYS : (this.#leaseKeys.get(from) ?? NO_KEYS)
    if (from !== undefined)
      this.#leaseKeys.set(from, before.count > 1 ? { ...before, count: before.count - 1 } : NO_KEYS)
    if (to === undefined) return
    const { count, prefix } = this.#leaseKeys.get(to) ?? NO_KEYS
    const start = key.slice(0, PREFIX_MAX)
    const common = [...prefix].findIndex((character, at) => character !== start[at])
    const kept = common === -1 ? prefix : prefix.slice(0, common)
    this.#leaseKeys.set(to, { count: count + 1, prefix: count === 0 ? start : kept })
  }

  #change(key: string, row: ModelRow | null): ModelRow | null {
    this.revision++
    const before = this.at(key, this.#index)
    this.#changes.count++
    this.#changes.bytes += before === null ? 0 : key.length + before.value.length
    this.#changes.rowBytes += 5 + key.length + (row === null ? 8 : 0) + (before === null ? 0 : 20)
    this.#moveKey(key, before?.lease, row?.lease)
    const version = { index: this.#index, revision: this.revision, row }
    const versions = this.#versions.get(key)
    if (versions === undefined) this.#versions.set(key, [version])
    else versions.push(version)
    const record = row === null ? null : { key, ...row }
    this.events.push({ key, revision: this.revision, record })
    this.#leaseChanges.push(row === null ? { what: 'deleted', key } : { what: 'put', key, lease: row.lease })
    return row
  }
}

/** An outcome of the store in the model's words. */
export function shown(outcome: Outcome): string {
  switch (outcome.kind) {
    case 'put':
      return `put at ${outcome.revision}: ${outcome.createRevision}/${outcome.modRevision}/${outcome.version}${shownPrevious(outcome.prev)}`
    case 'delete':
      return `deleted ${outcome.deleted} at ${outcome.revision}${shownPrevious(outcome.prev)}`
    case 'precondition-failed':
      return `failed at ${outcome.revision}, found ${foundText(outcome.current)}`
    case 'settings':
      return `settings at ${outcome.revision}`
    case 'session':
      return `session ${outcome.session} at ${outcome.revision} for ${outcome.ageMsMax} ms`
    case 'batch':
      return `batch at ${outcome.revision}: ${outcome.outcomes.map(shown).join(' | ')}`
    case 'revision-raised':
      return `revision raised to ${outcome.revision}`
    case 'compacted':
      return `compacted ${outcome.compactRevision} at ${outcome.revision}`
    case 'granted':
      return `granted ${outcome.lease} at ${outcome.revision} for ${outcome.ttlMs} ms`
    case 'txn':
      return `txn at ${outcome.revision}: ${shownTxn(outcome)}`
    case 'delete-range':
      return `delete-range ${outcome.deleted} at ${outcome.revision}`
    case 'renewed':
      return `renewed at ${outcome.revision} for ${outcome.ttlsMs.map(msText).join()}`
    case 'revoked':
      return revokedText(outcome.revision, outcome.deleted, outcome.left ?? 0)
    case 'expired':
      return `expired ${outcome.leases} at ${outcome.revision} with ${outcome.deleted}`
    case 'auth':
      return `auth ${outcome.authRevision} at ${outcome.revision}`
    case 'refused':
      return `refused ${outcome.code} at ${outcome.revision}`
  }
}

const foundText = (row: Omit<ModelRow, 'value'> | null): string =>
  row === null
    ? 'nothing'
    : `${row.createRevision}/${row.modRevision}/${row.version} of lease ${row.lease ?? 'none'}`

const revokedText = (revision: number, deleted: number, left: number): string =>
  left === 0
    ? `revoked at ${revision} with ${deleted}`
    : `revoked in part at ${revision} with ${deleted}, left ${left}`

const msText = (ms: number | undefined): string => `${ms ?? 'none'}`

const isTtl = (ms: number): boolean => ms >= TTL_MS_MIN && ms <= TTL_MS_MAX

/** Size of two rows (src/kv/codec/rows.ts): the token with its outcome, and its place in the order of tokens. */
function bytesToRemember(token: string, outcomeBytes: number): number {
  const rows = [1 + token.length + 8 + FINGERPRINT_BYTES + 4, 1 + 8 + ORDER_BYTES + token.length]
  return outcomeBytes + rows.reduce((sum, bytes) => sum + bytes)
}

const kept = (outcome: string): Required<TxnRun> => ({
  outcome,
  remembered: outcome,
  bytes: outcomeBytes(outcome),
})

const FINGERPRINT_BYTES = 16
/** Cluster time, revision, size. */
const ORDER_BYTES = 8 + 8 + 4 + 8

/** The size of an outcome in the words of `shown`: its kind and its revision, and its numbers, flag or settings. */
function outcomeBytes(outcome: string): number {
  const head = 1 + 8
  if (outcome.startsWith('put')) return head + 3 * 8
  if (outcome.startsWith('deleted')) return head + 1
  if (outcome.startsWith('failed')) {
    const meta = outcome.endsWith('of lease none') ? 3 * 8 : 4 * 8
    return head + 1 + (outcome.endsWith('found nothing') ? 0 : meta)
  }
  if (outcome.startsWith('session')) return head + 2 * 8
  if (outcome.startsWith('compacted')) return head + 8
  if (outcome.startsWith('granted')) return head + 2 * 8
  if (outcome.startsWith('revoked in part')) return head + 2 * 8
  if (outcome.startsWith('revoked') || outcome.startsWith('delete-range')) return head + 8
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

function requestText({ idempotency, command }: Request): string {
  return JSON.stringify([Object.entries(idempotency ?? {}).sort(), plainly(command)])
}

/** A request that a leader proposes by itself. */
const COMPACTS = requestText({
  command: { kind: 'compact', revision: undefined },
  idempotency: undefined,
  principal: SYSTEM_PRINCIPAL,
})

/** The content of a request, without absent or undefined fields. */
function plainly(command: Command): unknown {
  if (command.kind === 'settings') return Object.entries(command.settings).sort()
  if (command.kind === 'batch') return command.commands.map(plainly)
  if (command.kind === 'compact')
    return [command.kind, command.revision ?? null, command.onlyForward === true]
  if (command.kind === 'grant') return [command.kind, command.id ?? null, command.ttlMs]
  if (command.kind === 'revoke') return [command.kind, command.id]
  if (command.kind === 'txn') return [command.kind, plainTxn(command.txn)]
  if (command.kind === 'delete-range') {
    const { start, end } = command.range
    return [command.kind, text(start), end && text(end)]
  }
  if (command.kind === 'auth') {
    const fields = Object.entries(command.change).sort(([one], [other]) => (one < other ? -1 : 1))
    return [command.kind, command.ifRevision ?? null, JSON.stringify(fields, plainBytes)]
  }
  if (!('key' in command)) return command.kind
  const { kind, key, condition, prev } = command
  const parts = command.kind === 'put' ? modelPut(command) : {}
  return { kind, ...parts, key: text(key), ...condition, prev }
}

const plainBytes = (_: string, value: unknown): unknown => (value instanceof Uint8Array ? text(value) : value)

/** The lower 63 bits of SipHash-2-4 of a number, by the paper (Aumasson and Bernstein, 2012). */
function sipHash(key: Uint8Array, number: bigint): bigint {
  const mask = (1n << 64n) - 1n
  const littleEndian = (bytes: Uint8Array): bigint =>
    bytes.reduceRight((word, byte) => (word << 8n) | BigInt(byte), 0n)
  const rotated = (word: bigint, by: bigint): bigint => ((word << by) | (word >> (64n - by))) & mask
  const [k0, k1] = [littleEndian(key.subarray(0, 8)), littleEndian(key.subarray(8))]
  let [v0, v1] = [k0 ^ 0x736f6d6570736575n, k1 ^ 0x646f72616e646f6dn]
  let [v2, v3] = [k0 ^ 0x6c7967656e657261n, k1 ^ 0x7465646279746573n]
  const round = (): void => {
    v0 = (v0 + v1) & mask
    v1 = rotated(v1, 13n) ^ v0
    v0 = rotated(v0, 32n)
    v2 = (v2 + v3) & mask
    v3 = rotated(v3, 16n) ^ v2
    v0 = (v0 + v3) & mask
    v3 = rotated(v3, 21n) ^ v0
    v2 = (v2 + v1) & mask
    v1 = rotated(v1, 17n) ^ v2
    v2 = rotated(v2, 32n)
  }
  const message = Uint8Array.from({ length: 8 }, (_, at) => Number((number >> BigInt(56 - 8 * at)) & 0xffn))
  for (const word of [littleEndian(message), 8n << 56n]) {
    v3 ^= word
    round()
    round()
    v0 ^= word
  }
  v2 ^= 0xffn
  for (let rounds = 0; rounds < 4; rounds++) round()
  return (v0 ^ v1 ^ v2 ^ v3) & ((1n << 63n) - 1n)
}
