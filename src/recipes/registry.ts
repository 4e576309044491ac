// A service registry: which instances of a service run, and where.
//
// Promise: an instance is listed from the moment when `register` returns until it is closed, or until its process has
// been silent for `ttlMs`: its key has the lease of a session, which the process keeps alive, and the clock of the
// cluster decides. If the lease is lost all the same, after a long break of the network, the instance registers again
// by itself, with what its last update has written. An update has been written when it returns; while the instance is
// lost it waits. `list` is linearizable. `resolve` and `watch` work from memory, which follows the store within
// milliseconds.
//
// When the registry cannot be reached, `resolve` goes on with the last instances that it knows. Then, and always, it
// says how old its knowledge may be: `confirmedMsAgo`, and `isStale` when that is more than `staleMs`.
//
// Limits: that the process lives is no proof that it serves: who could not use an instance calls `failed`, and this
// resolver leaves the instance out for `failedMs`, as long as there is another one. Least connections counts those of
// this resolver only. A service has 10,000 instances and 4 MiB of their metadata at most (`range_keys_max`,
// `range_bytes_max`), and each change has every resolver read them again: this is for some hundred. A key of the
// service that no registry has written is left out, so that it hides no instance, and told once: by a warning of the
// process, or to `onError` of the resolver.
//
// Key: service/SERVICE/ID     {"url","weight","meta"}, with the lease of the process

import { randomUUID } from 'node:crypto'
import { whenAborted } from '../client/abort-listeners.ts'
import {
  AbortedError,
  type CallOptions,
  type Client,
  type KvRecord,
  OutcomeUnknownError,
  QuorateError,
  type Session,
  type TxnComparison,
  UnavailableError,
} from '../client/index.ts'
import { after } from '../client/timer.ts'
import {
  type Check,
  checkOptions,
  checkValue,
  isFunction,
  isOneOf,
  isSignal,
  isText,
  isTimeout,
} from '../client/validators.ts'
import { abortedBy, CALL, isLeaseTime } from './checks.ts'
import { Followed, type View } from './followed.ts'
import { escaped, type KeyPlace, placeOf, unescaped } from './place.ts'
import { tell } from './tell.ts'
import { GIVE_UP_MS } from './waiting.ts'
import { isClosed, pause } from './watching.ts'

const TTL_MS = 10_000
const CONFIRM_MS = 10_000
const STALE_MS = 15_000
const FAILED_MS = 5_000
const TIMEOUT_MS = 5_000
/** The pause after a try to register again, or to find out what became of an update, that has failed. */
const AGAIN_MS = 1_000

export interface Instance {
  readonly id: string
  readonly url: string
  readonly weight: number
  readonly meta: Readonly<Record<string, unknown>>
}

export interface NewInstance {
  /** Default: a random one. */
  readonly id?: string | undefined
  readonly url: string
  /** Its share of what is resolved, from 0 on; 0: only if there is no other. Default 1. */
  readonly weight?: number | undefined
  /** JSON. */
  readonly meta?: Readonly<Record<string, unknown>> | undefined
  /** After so long without its process the instance goes. From 1,000 on. Default 10,000. */
  readonly ttlMs?: number | undefined
  /**
   * Called when the instance was lost, and for each try to register again, or to find out what became of an update,
   * that fails.
   */
  readonly onProblem?: ((error: unknown) => void) | undefined
  /** Ends the registering with an `AbortError`, and removes what was written. Without effect once it is registered. */
  readonly signal?: AbortSignal | undefined
}

export interface Registration extends AsyncDisposable {
  readonly id: string
  /** Whether its lease lives. That it was revoked is noticed within a third of `ttlMs`. */
  readonly isRegistered: boolean
  /**
   * Replaces weight, metadata or URL, one update after another. While the instance is lost it waits until it has
   * registered again; `signal` ends it with an `AbortError`. Fails if another process has registered under this id, or
   * after `close`. When its outcome is unknown, the registration finds out what has become of it: it does not come
   * later.
   */
  update(
    changes: Partial<Pick<Instance, 'url' | 'weight' | 'meta'>>,
    options?: { readonly signal?: AbortSignal | undefined },
  ): Promise<void>
  /** Removes the instance. false: the cluster has not confirmed it, and the instance goes when its lease has ended. */
  close(options?: CallOptions): Promise<boolean>
}

export interface ResolverOptions {
  /** Default 'round-robin', by weight. */
  readonly strategy?: 'round-robin' | 'least-connections' | undefined
  /** Instances are read at least so often. Default 10,000. */
  readonly confirmMs?: number | undefined
  /** Older knowledge is called stale. Default 15,000. */
  readonly staleMs?: number | undefined
  /** For how long `failed` leaves an instance out. Default 5,000. */
  readonly failedMs?: number | undefined
  /** How long `resolve` waits for the first knowledge. Default 5,000. */
  readonly timeoutMs?: number | undefined
  /** Called when the registry could not be read, and for a key of the service that no registry has written. */
  readonly onError?: ((error: unknown) => void) | undefined
}

export interface Resolved extends Instance {
  /** The knowledge may be so old. */
  readonly confirmedMsAgo: number
  /** It is older than `staleMs`: the registry cannot be reached, and this is what was known last. */
  readonly isStale: boolean
  /** The connection has ended; for least connections. */
  release(): void
  /** The instance could not be used. */
  failed(): void
}

export interface Resolver extends AsyncDisposable {
  /** undefined: the service has no instance. Fails if nothing was known within `timeoutMs`. */
  resolve(): Promise<Resolved | undefined>
  /** The instances known last, without waiting. */
  readonly instances: readonly Instance[]
  readonly confirmedMsAgo: number
  close(): Promise<void>
}

export interface Registry {
  register(instance: NewInstance): Promise<Registration>
  list(options?: { readonly signal?: AbortSignal | undefined }): Promise<readonly Instance[]>
  /** It keeps its knowledge in memory until it is closed. */
  resolver(options?: ResolverOptions): Resolver
  /** The instances now, and whenever they have changed. */
  watch(options?: {
    readonly signal?: AbortSignal | undefined
  }): AsyncGenerator<readonly Instance[], void, undefined>
}

type RegistryClient = Pick<Client, 'txn' | 'watch' | 'session'>

export function registry(kv: RegistryClient, service: string | Uint8Array): Registry {
  const place = placeOf('registry', 'service', service)
  const instancesIn = reader(place, ({ message }) =>
    process.emitWarning(`registry: ${message}`, 'QuorateWarning'),
  )
  return {
    register: async (instance) => {
      checkOptions('registry.register', instance, NEW)
      checkValue('registry.register', 'url', instance.url, isText)
      const registered = new Registered(kv, place, instance)
      await registered.begin(instance.signal)
      return registered
    },
    list: async (options = {}) => {
      checkOptions('registry.list', options, { signal: isSignal })
      const { results } = await kv.txn({ success: [{ get: { prefix: place.prefix } }] }, options)
      return instancesIn(results[0]?.get?.kvs ?? [])
    },
    resolver: (options = {}) => {
      checkOptions('registry.resolver', options, RESOLVER)
      return new FollowingResolver(kv, place, options)
    },
    watch: (options = {}) => {
      checkOptions('registry.watch', options, { signal: isSignal })
      return watched(kv, place, instancesIn, options.signal)
    },
  }
}

// ---------------------------------------------------------------------------------------------------------------------

type Fields = Pick<Instance, 'url' | 'weight' | 'meta'>
type Change = (fields: Fields) => Fields

interface Written {
  readonly revision: number
}

/** As the key was instead. */
interface Found {
  readonly found: KvRecord | undefined
}

interface Update {
  readonly change: Change
  readonly signal: AbortSignal | undefined
  /** A write of it had no answer, and the instance was lost. */
  mayBeWritten: boolean
  done(): void
  fail(error: unknown): void
}

/** All writes are made by `#keep`, one after another. */
class Registered implements Registration {
  readonly id: string
  readonly #kv: RegistryClient
  readonly #key: Uint8Array
  readonly #ttlMs: number
  readonly #onProblem: (error: unknown) => void
  readonly #end = new AbortController()
  /** What was written last, as far as it is known. */
  #kept: Fields
  /**
   * Of the key, when it was seen last; 0: there was none. Each write is for this revision only: a late copy of a write
   * whose outcome is unknown changes nothing once another one has been written.
   */
  #revision = 0
  /** An update may have been written, or may still be. */
  #isUnsure = false
  #session: Session | undefined
  /** In the order of their calls; the first one may be under way. */
  readonly #updates = new Set<Update>()
  /** The update that is being written. */
  #underWay: Update | undefined
  /** There is an update to write. */
  #wake = () => {}
  #keeping: Promise<void> | undefined

  constructor(kv: RegistryClient, place: KeyPlace, instance: NewInstance) {
    const { id = randomUUID(), url, weight = 1, meta = {}, ttlMs = TTL_MS, onProblem } = instance
    this.id = id
    this.#kv = kv
    this.#key = place.key(escaped(id).toString('utf8'))
    this.#ttlMs = ttlMs
    this.#onProblem = (error) => tell(() => onProblem?.(error))
    // A copy, as the caller may change it.
    this.#kept = { url, weight, meta: JSON.parse(textOf('registry.register', meta)) }
  }

  async begin(signal: AbortSignal | undefined): Promise<void> {
    if (signal?.aborted === true) throw abortedBy(signal, 'registry.register')
    const stopListening = whenAborted(signal, () => this.#end.abort(signal?.reason))
    let session: Session
    try {
      session = await this.#register()
    } finally {
      stopListening()
    }
    if (this.#end.signal.aborted) {
      // It came together with the answer.
      await session.close({ timeoutMs: GIVE_UP_MS })
      throw new AbortedError(
        'registry.register was aborted; the instance may be listed until its lease ends',
        { code: 'aborted', written: 'unknown', cause: signal?.reason },
      )
    }
    this.#keeping = this.#keep(session)
  }

  get isRegistered(): boolean {
    return this.#session !== undefined && this.#session.leftMs > 0
  }

  async update(
    changes: Partial<Pick<Instance, 'url' | 'weight' | 'meta'>>,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<void> {
    checkOptions('registration.update', changes, { url: isText, weight: isWeight, meta: isMeta })
    checkOptions('registration.update', options, { signal: isSignal })
    const { signal } = options
    // A copy, as the caller may change it before its turn has come.
    const given = { ...changes }
    const meta = changes.meta && textOf('registration.update', changes.meta)
    const change: Change = (before) => ({
      url: given.url ?? before.url,
      weight: given.weight ?? before.weight,
      meta: meta === undefined ? before.meta : JSON.parse(meta),
    })
    if (this.#end.signal.aborted) throw closed()
    if (signal?.aborted === true) throw abortedBy(signal, 'registration.update')
    const { promise, resolve: done, reject: fail } = Promise.withResolvers<void>()
    const update: Update = { change, signal, mayBeWritten: false, done, fail }
    this.#updates.add(update)
    this.#wake()
    const stopListening = whenAborted(signal, () => {
      // Of the one under way the call ends.
      if (this.#underWay !== update) this.#fail(update, abortedBy(signal, 'registration.update'))
    })
    // The waiting keeps the process alive, though the registration does not.
    const stopTimer = after(Number.POSITIVE_INFINITY, () => {})
    await promise.finally(() => {
      stopListening()
      stopTimer()
    })
  }

  async close(options: CallOptions = {}): Promise<boolean> {
    checkOptions('registration.close', options, CALL)
    this.#end.abort()
    await this.#keeping
    return (await this.#session?.close(options)) === true
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** Until it is closed. */
  async #keep(first: Session): Promise<void> {
    for (let session: Session | undefined = first; session !== undefined; ) {
      const why = await this.#serve(session)
      if (this.#end.signal.aborted) break
      this.#onProblem(why)
      session = await this.#again()
    }
    for (const update of this.#updates) this.#fail(update, closed())
  }

  /** Makes the updates, until the lease has ended. Returns why. */
  async #serve(session: Session): Promise<unknown> {
    const over = AbortSignal.any([session.signal, this.#end.signal])
    try {
      while (!over.aborted) {
        const [update] = this.#updates
        if (update !== undefined) await this.#make(update, session, over)
        else {
          if (this.#isUnsure) await this.#settle(session, over)
          await this.#woken(over)
        }
      }
      return over.reason
    } catch (error) {
      if (!isGone(error)) throw error
      // The session may not know it yet.
      await session.close({ timeoutMs: GIVE_UP_MS })
      return error
    }
  }

  /** An update waits for the next registration if the lease has ended. */
  async #make(update: Update, session: Session, over: AbortSignal): Promise<void> {
    const { change, signal } = update
    this.#underWay = update
    try {
      await this.#write(session, signal === undefined ? over : AbortSignal.any([over, signal]), change)
      this.#updates.delete(update)
      update.done()
    } catch (error) {
      const isUnknown = isOfUnknownOutcome(error)
      this.#isUnsure ||= isUnknown
      update.mayBeWritten ||= isUnknown
      const isLost = over.aborted || isGone(error)
      if (!isLost || signal?.aborted === true) this.#fail(update, error)
      if (isGone(error)) throw error
    } finally {
      this.#underWay = undefined
    }
  }

  /**
   * Finds out what has become of an update of unknown outcome: writes again what was there before, or learns that the
   * update was written. After that it cannot come any more.
   */
  async #settle(session: Session, over: AbortSignal): Promise<void> {
    try {
      await this.#write(session, over)
    } catch (error) {
      if (isGone(error)) throw error
      if (over.aborted) return
      this.#isUnsure &&= !isReplaced(error)
      this.#onProblem(error)
    }
  }

  #fail(update: Update, error: unknown): void {
    this.#updates.delete(update)
    update.fail(update.mayBeWritten && !isOfUnknownOutcome(error) ? mayBeWritten(error) : error)
  }

  /** Until there is something to do. */
  async #woken(over: AbortSignal): Promise<void> {
    if (over.aborted || this.#updates.size > 0) return
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#wake = resolve
    const stopListening = whenAborted(over, resolve)
    const stopTimer = this.#isUnsure ? after(AGAIN_MS, resolve, { unref: true }) : () => {}
    await promise
    stopListening()
    stopTimer()
  }

  /** Writes what the key has, with `change`. */
  async #write(session: Session, signal: AbortSignal, change: Change = (before) => before): Promise<void> {
    for (;;) {
      const fields = change(this.#kept)
      const put = await this.#put(session, fields, signal)
      if ('revision' in put) {
        this.#kept = fields
        this.#saw(put.revision)
        return
      }
      const { found } = put
      // Not with the same lease again: what was sent while there was no key might come later.
      if (found === undefined) throw gone(this.id)
      // Not what another process has registered under this id: it would go with the lease of this one.
      if (found.lease !== session.lease) throw replaced(this.id)
      this.#learn(found)
      this.#saw(found.modRevision)
    }
  }

  /** Whatever was sent before is for an earlier revision, and comes no more. */
  #saw(revision: number): void {
    this.#revision = revision
    this.#isUnsure = false
  }

  /** What an update of unknown outcome has written. */
  #learn(found: KvRecord): void {
    this.#kept = fieldsOf(found) ?? this.#kept
  }

  /** Writes the key, unless it has changed since `#revision`. */
  async #put(session: Session, fields: Fields, signal: AbortSignal): Promise<Written | Found> {
    const [key, seen, { lease }] = [this.#key, this.#revision, session]
    const compare: TxnComparison =
      seen === 0 ? { key, exists: false } : { key, target: 'mod_revision', op: '=', to: seen }
    const { succeeded, revision, results } = await this.#kv.txn(
      {
        compare: [compare],
        success: [{ put: { key, value: JSON.stringify(fields), lease } }],
        failure: [{ get: { key } }],
      },
      { signal },
    )
    if (succeeded) return { revision }
    const got = results[0]?.get
    // The client has sent it again: the cluster then remembers what was done, but not what was read.
    if (got?.omitted === true) return this.#put(session, fields, signal)
    return { found: got?.kvs?.[0] }
  }

  /** undefined: it was closed. */
  async #again(): Promise<Session | undefined> {
    while (!this.#end.signal.aborted) {
      try {
        return await this.#register()
      } catch (error) {
        if (isClosed(error)) this.#end.abort()
        if (this.#end.signal.aborted) break
        this.#onProblem(error)
        await pause(AGAIN_MS, this.#end.signal, { unref: true })
      }
    }
    return undefined
  }

  /** An instance that another process has registered under this id is replaced: it is this one, before a restart. */
  async #register(): Promise<Session> {
    const { signal } = this.#end
    const session = await this.#kv.session({ ttlMs: this.#ttlMs, signal })
    try {
      for (;;) {
        const put = await this.#put(session, this.#kept, signal)
        if ('revision' in put) {
          this.#saw(put.revision)
          this.#session = session
          return session
        }
        const { found } = put
        this.#revision = found?.modRevision ?? 0
        if (found?.lease !== undefined && found.lease === this.#session?.lease) this.#learn(found)
      }
    } catch (error) {
      await session.close({ timeoutMs: GIVE_UP_MS })
      throw error
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------

/** Of metadata. What is no JSON, or no object as JSON, fails here. */
function textOf(call: string, meta: Instance['meta']): string {
  const text: string | undefined = JSON.stringify(meta)
  checkValue(call, 'meta', text && JSON.parse(text), isMeta)
  return text
}

const isOfUnknownOutcome = (error: unknown): boolean =>
  error instanceof QuorateError && error.written === 'unknown'

const mayBeWritten = (cause: unknown) => {
  const message = 'registration.update: it may have been written'
  return cause instanceof AbortedError
    ? new AbortedError(message, { code: cause.code, written: 'unknown', cause })
    : new OutcomeUnknownError(message, { code: 'outcome_unknown', written: 'unknown', cause })
}

const replaced = (id: string) =>
  new QuorateError(`registration.update: another process has registered ${id}`, {
    code: 'registration_replaced',
    written: 'no',
  })

const gone = (id: string) =>
  new QuorateError(`the key of ${id} is gone: its lease has ended, or it was deleted`, {
    code: 'registration_lost',
    written: 'no',
  })

const isGone = (error: unknown): boolean =>
  error instanceof QuorateError && error.code === 'registration_lost'

const isReplaced = (error: unknown): boolean =>
  error instanceof QuorateError && error.code === 'registration_replaced'

const closed = () =>
  new AbortedError('registration.update: the registration was closed', { code: 'closed', written: 'no' })

class FollowingResolver implements Resolver {
  readonly #followed: Followed
  readonly #strategy: 'round-robin' | 'least-connections'
  readonly #staleMs: number
  readonly #failedMs: number
  readonly #timeoutMs: number
  #lastError: unknown
  #instances: readonly Instance[] = []
  /**
   * By id: which part of the way to its next turn is left, from 0 to 1. The weight is the speed: so a weight that
   * changes changes the speed from then on, and no turn of before is made up for.
   */
  readonly #ways = new Map<string, number>()
  readonly #connections = new Map<string, number>()
  /** By id: until when, by `performance.now()`. */
  readonly #failedUntil = new Map<string, number>()

  constructor(kv: RegistryClient, place: KeyPlace, options: ResolverOptions) {
    this.#strategy = options.strategy ?? 'round-robin'
    this.#staleMs = options.staleMs ?? STALE_MS
    this.#failedMs = options.failedMs ?? FAILED_MS
    this.#timeoutMs = options.timeoutMs ?? TIMEOUT_MS
    const instancesIn = reader(place, (error) => tell(() => options.onError?.(error)))
    this.#followed = new Followed(kv, {
      prefix: place.prefix,
      confirmMs: options.confirmMs ?? CONFIRM_MS,
      onView: ({ records }) => this.#know(instancesIn(records)),
      onError: (error) => {
        this.#lastError = error
        tell(() => options.onError?.(error))
      },
    })
  }

  get instances(): readonly Instance[] {
    return this.#instances
  }

  get confirmedMsAgo(): number {
    return this.#followed.confirmedMsAgo
  }

  async resolve(): Promise<Resolved | undefined> {
    if (this.#followed.view === undefined) await this.#begun()
    const chosen = this.#choose()
    if (chosen === undefined) return undefined
    const { id } = chosen
    this.#connections.set(id, (this.#connections.get(id) ?? 0) + 1)
    let isOpen = true
    const release = () => {
      if (!isOpen) return
      isOpen = false
      const left = (this.#connections.get(id) ?? 0) - 1
      if (left > 0) this.#connections.set(id, left)
      else this.#connections.delete(id)
    }
    const { confirmedMsAgo } = this
    return {
      ...chosen,
      confirmedMsAgo,
      isStale: confirmedMsAgo > this.#staleMs,
      release,
      failed: () => {
        release()
        this.#failedUntil.set(id, performance.now() + this.#failedMs)
      },
    }
  }

  close(): Promise<void> {
    return this.#followed.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #begun(): Promise<void> {
    const time = new AbortController()
    const late = pause(this.#timeoutMs, time.signal)
    await Promise.race([this.#followed.ready, late]).finally(() => time.abort())
    if (this.#followed.view !== undefined) return
    throw new UnavailableError(`the registry could not be read within ${this.#timeoutMs} ms`, {
      code: 'timeout',
      written: 'no',
      cause: this.#lastError,
    })
  }

  #know(instances: readonly Instance[]): void {
    this.#instances = instances
    const ids = new Set(instances.map(({ id }) => id))
    for (const id of this.#ways.keys()) if (!ids.has(id)) this.#ways.delete(id)
    for (const id of this.#failedUntil.keys()) if (!ids.has(id)) this.#failedUntil.delete(id)
  }

  #choose(): Instance | undefined {
    const nowMs = performance.now()
    const isWell = ({ id }: Instance) => (this.#failedUntil.get(id) ?? 0) <= nowMs
    const well = this.#instances.filter(isWell)
    const usable = well.length > 0 ? well : this.#instances
    const weighted = usable.filter(({ weight }) => weight > 0)
    const candidates = weighted.length > 0 ? weighted : usable.map((each) => ({ ...each, weight: 1 }))
    const chosen =
      this.#strategy === 'round-robin' ? this.#nextInTurn(candidates) : this.#leastUsed(candidates)
    return this.#instances.find(({ id }) => id === chosen?.id)
  }

  /** All move on until the first one is there; it begins anew. */
  #nextInTurn(candidates: readonly Instance[]): Instance | undefined {
    let first: Instance | undefined
    let time = Number.POSITIVE_INFINITY
    for (const each of candidates) {
      const needed = this.#wayOf(each) / each.weight
      if (first !== undefined && needed >= time) continue
      first = each
      time = needed
    }
    for (const each of candidates)
      this.#ways.set(each.id, Math.max(0, this.#wayOf(each) - time * each.weight))
    if (first !== undefined) this.#ways.set(first.id, 1)
    return first
  }

  /** Of one that is new: half of it, so that it takes its share from now on, neither more nor less. */
  #wayOf({ id }: Instance): number {
    return this.#ways.get(id) ?? 0.5
  }

  /** In proportion to the weights; those that are equal take turns. */
  #leastUsed(candidates: readonly Instance[]): Instance | undefined {
    const loadOf = ({ id, weight }: Instance) => (this.#connections.get(id) ?? 0) / weight
    const least = candidates.reduce((least, each) => Math.min(least, loadOf(each)), Number.POSITIVE_INFINITY)
    return this.#nextInTurn(candidates.filter((each) => loadOf(each) === least))
  }
}

async function* watched(
  kv: RegistryClient,
  place: KeyPlace,
  instancesIn: ReturnType<typeof reader>,
  signal: AbortSignal | undefined,
): AsyncGenerator<readonly Instance[], void, undefined> {
  let latest: View | undefined
  let closed: unknown
  let wake = () => {}
  const followed = new Followed(kv, {
    prefix: place.prefix,
    confirmMs: CONFIRM_MS,
    onView: (view) => {
      latest = view
      wake()
    },
    // It shows what was known last, and goes on when the store can be reached again.
    onError: (error) => {
      if (isClosed(error)) closed = error
      wake()
    },
  })
  const onAbort = () => wake()
  signal?.addEventListener('abort', onAbort)
  try {
    for (let shown = ''; ; ) {
      const text = JSON.stringify(latest?.records.map(({ key, modRevision }) => [key, modRevision]) ?? '')
      if (latest !== undefined && text !== shown) {
        shown = text
        yield instancesIn(latest.records)
        continue
      }
      if (signal?.aborted === true) throw abortedBy(signal, 'the watch')
      if (closed !== undefined) throw closed
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
  } finally {
    signal?.removeEventListener('abort', onAbort)
    await followed.close()
  }
}

/** Reads the instances, and calls `onForeign` once for each key that is none. */
function reader(
  place: KeyPlace,
  onForeign: (error: TypeError) => void,
): (records: readonly KvRecord[]) => readonly Instance[] {
  const told = new Set<string>()
  return (records) =>
    records.flatMap((record) => {
      const instance = instanceIn(place, record)
      if (instance !== undefined) return [instance]
      if (!told.has(record.key))
        onForeign(new TypeError(`the key ${record.key} was not written by a registry`))
      told.add(record.key)
      return []
    })
}

function instanceIn(place: KeyPlace, record: KvRecord): Instance | undefined {
  const fields = fieldsOf(record)
  return fields && { id: unescaped(place.rest(record.keyBytes)), ...fields }
}

function fieldsOf(record: KvRecord): Fields | undefined {
  const { url, weight, meta } = jsonOf(record)
  if (typeof url !== 'string') return undefined
  return {
    url,
    weight: isWeight(weight) === undefined ? Number(weight) : 1,
    meta: isMeta(meta) === undefined ? (meta as Instance['meta']) : {},
  }
}

function jsonOf(record: KvRecord): Partial<Record<string, unknown>> {
  try {
    return Object(record.json())
  } catch {
    return {}
  }
}

const isWeight: Check = (value) =>
  typeof value === 'number' && value >= 0 && value <= Number.MAX_SAFE_INTEGER
    ? undefined
    : 'a number from 0 to 2^53 - 1'
const isMeta: Check = (value) =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? undefined : 'an object'

const NEW = {
  id: isText,
  url: isText,
  weight: isWeight,
  meta: isMeta,
  ttlMs: isLeaseTime,
  onProblem: isFunction,
  signal: isSignal,
}
const RESOLVER = {
  strategy: isOneOf('round-robin', 'least-connections'),
  confirmMs: isTimeout,
  staleMs: isTimeout,
  failedMs: isTimeout,
  timeoutMs: isTimeout,
  onError: isFunction,
}
