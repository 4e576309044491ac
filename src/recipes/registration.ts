// One instance of a service (registry.ts) that this process keeps registered.
//
// Invariant: writes run one after another, and every write compares the key's mod revision, so a late copy of an
// earlier one changes nothing. `#fields` is what the last successful write had, and only that is written again.
//
// `register` takes over the id from another process. Nothing else does: a process that has been replaced knows it
// within a third of its time to live, and registers again when there is no other one. So two processes do not replace
// each other in turns.

import crypto from 'node:crypto'
import {
  AbortedError,
  type CallOptions,
  type Client,
  QuorateError,
  type Session,
  UnavailableError,
  UnreachableError,
} from '../client/index.ts'
import { pause } from '../client/timer.ts'
import { type Check, checkOptions, checkValue, objectCheck, textCheck } from '../client/validators.ts'
import { escapePart, type KeySpace } from './key-space.ts'
import { CALL_OPTIONS } from './option-checks.ts'
import { runUserCallback } from './run-user-callback.ts'
import { hasCode, isClosed, isLeaseGone, isTransient } from './transient-errors.ts'
import { REVOKE_WAIT_MS } from './wait-until.ts'
import { anySignal } from './watch-helpers.ts'

const TTL_MS = 10_000
const RETRY_MS = 1_000
/** The key is checked after this share of the time to live. */
const CONFIRM_SHARE = 1 / 3
/** More leases than a process can have lost whose keys may still be there. */
const OWN_LEASES_MAX = 16

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
  /** Share of the resolved calls, from 0 on; 0: only if there is no other instance. Default 1. */
  readonly weight?: number | undefined
  /** JSON. */
  readonly meta?: Readonly<Record<string, unknown>> | undefined
  /** Life of the lease: the instance is removed after this time without its process. From 1,000 on. Default 10,000. */
  readonly ttlMs?: number | undefined
  /**
   * Called when the instance was lost, when another process has registered its id (`registration_replaced`), and for
   * each failed attempt to register again.
   */
  readonly onProblem?: ((error: unknown) => void) | undefined
  /** Ends the call with an `AbortError`, and removes what it has written. No effect once it is registered. */
  readonly signal?: AbortSignal | undefined
  /** Time limit of each call to the cluster until it is registered. Default: that of the client. */
  readonly timeoutMs?: number | undefined
}

export interface Registration extends AsyncDisposable {
  readonly id: string
  /**
   * Whether its lease is alive, and the key its own. A revoked lease, another process with this id, and a key that was
   * deleted or overwritten are noticed within a third of `ttlMs`; while the cluster is unreachable, within `ttlMs`.
   */
  readonly isRegistered: boolean
  /**
   * Replaces weight, metadata or URL, one update after another. If the lease is lost, it registers the instance again.
   * Throws if another process has registered this id, and after `close`.
   */
  update(changes: Partial<Pick<Instance, 'url' | 'weight' | 'meta'>>, options?: CallOptions): Promise<void>
  /**
   * Removes the instance. false: no node has confirmed it in time. Then the client tries again in the background until
   * the instance is removed, or until the client is closed. Another call waits for that.
   */
  close(options?: CallOptions): Promise<boolean>
}

export type RegistryClient = Pick<Client, 'txn' | 'watch' | 'session'>

type Fields = Pick<Instance, 'url' | 'weight' | 'meta'>

export class OwnRegistration implements Registration {
  readonly id: string
  readonly #kv: RegistryClient
  readonly #key: Uint8Array
  readonly #ttlMs: number
  readonly #onProblem: (error: unknown) => void
  readonly #end = new AbortController()
  #fields: Fields
  /** The key's mod revision as it was last seen; 0: no key. */
  #revision = 0
  #session: Session | undefined
  /** Another process has registered the id. */
  #isReplaced = false
  /** Leases of this process that may be those of the key, the last one last. */
  #ownLeases: readonly string[] = []
  #lastWrite: Promise<unknown> = Promise.resolve()
  #keeping: Promise<void> | undefined

  static async begin(kv: RegistryClient, space: KeySpace, instance: NewInstance): Promise<Registration> {
    const registration = new OwnRegistration(kv, space, instance)
    await registration.#begin(instance)
    return registration
  }

  private constructor(kv: RegistryClient, space: KeySpace, instance: NewInstance) {
    const { id = crypto.randomUUID(), url, weight = 1, meta = {}, ttlMs = TTL_MS, onProblem } = instance
    this.id = id
    this.#kv = kv
    this.#key = space.key(escapePart(id).toString())
    this.#ttlMs = ttlMs
    this.#onProblem = (error) => runUserCallback(() => onProblem?.(error))
    this.#fields = { url, weight, meta: jsonCopy('registry.register', meta) }
  }

  async #begin({ signal, timeoutMs }: CallOptions): Promise<void> {
    const call = { signal: anySignal(this.#end.signal, signal), timeoutMs }
    await this.#write(this.#fields, call, true)
    this.#keeping = this.#keepRegistered()
  }

  get isRegistered(): boolean {
    return this.#isAlive && !this.#isReplaced
  }

  get #isAlive(): boolean {
    return this.#session !== undefined && this.#session.leftMs > 0
  }

  async update(changes: Partial<Fields>, options: CallOptions = {}): Promise<void> {
    checkOptions('registration.update', changes, { url: textCheck, weight: weightCheck, meta: objectCheck })
    checkOptions('registration.update', options, CALL_OPTIONS)
    const { url, weight } = changes
    const { timeoutMs } = options
    const signal = anySignal(this.#end.signal, options.signal)
    const meta = changes.meta && jsonCopy('registration.update', changes.meta)
    await this.#inTurn(async () => {
      const { url: oldUrl, weight: oldWeight, meta: oldMeta } = this.#fields
      const fields = { url: url ?? oldUrl, weight: weight ?? oldWeight, meta: meta ?? oldMeta }
      try {
        await this.#write(fields, { signal, timeoutMs }, false)
      } catch (error) {
        const cause = this.#fields === fields ? writtenBefore(error) : error
        throw this.#end.signal.aborted ? registrationClosed(cause) : cause
      }
    })
  }

  async close(options: CallOptions = {}): Promise<boolean> {
    checkOptions('registration.close', options, CALL_OPTIONS)
    this.#end.abort()
    await this.#keeping
    await this.#lastWrite
    return (await this.#session?.close(options)) === true
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #inTurn(write: () => Promise<void>): Promise<void> {
    const writing = this.#lastWrite.then(write)
    this.#lastWrite = writing.catch(() => undefined)
    await writing
  }

  async #keepRegistered(): Promise<void> {
    const { signal } = this.#end
    let waitMs = this.#ttlMs * CONFIRM_SHARE
    for (let wasAlive = true; ; wasAlive = this.#isAlive) {
      const over = anySignal(signal, this.#isAlive ? this.#session?.signal : undefined)
      await pause(waitMs, over, { unref: true })
      if (signal.aborted) return
      if (wasAlive && !this.#isAlive && !this.#isReplaced)
        this.#onProblem(registrationLost(this.id, this.#session?.signal.reason))
      waitMs = this.#ttlMs * CONFIRM_SHARE
      try {
        await this.#confirm({ signal })
      } catch (error) {
        if (signal.aborted || isClosed(error)) return
        // It was reported, and lasts until the other process is gone.
        if (hasCode(error, 'registration_replaced')) continue
        if (!this.#isAlive) waitMs = RETRY_MS
        // While its lease lives, the instance is listed, whether or not the cluster is reachable.
        if (!this.#isAlive || !isTransient(error)) this.#onProblem(error)
      }
    }
  }

  /** Reads the key, and registers again unless it is that of the last write, or of another process. */
  async #confirm(call: CallOptions): Promise<void> {
    const { results } = await this.#kv.txn({ success: [{ get: { key: this.#key, keysOnly: true } }] }, call)
    const lease = results[0]?.get?.kvs?.[0]?.lease
    const isOwn = lease !== undefined && this.#ownLeases.includes(lease)
    if (lease === this.#session?.lease && this.#isAlive) return
    if (!isOwn && lease !== undefined) throw this.#replaced()
    if (!isOwn && this.#isAlive && !this.#isReplaced) this.#onProblem(keyLost(this.id))
    await this.#inTurn(() => this.#write(this.#fields, call, false))
  }

  /** Without a live session it begins one. `takesOver`: it replaces an instance that another process has registered. */
  async #write(fields: Fields, call: CallOptions, takesOver: boolean): Promise<void> {
    for (;;) {
      const registered = this.#isAlive ? this.#session : undefined
      const session = registered ?? (await this.#kv.session({ ttlMs: this.#ttlMs, ...call }))
      this.#ownLeases = [...this.#ownLeases.slice(1 - OWN_LEASES_MAX), session.lease]
      try {
        await this.#put(fields, session.lease, call, takesOver)
        this.#fields = fields
        this.#session = session
        this.#isReplaced = false
        // The process may have been stopped for longer than the lease lives.
        if (this.#isAlive || call.signal?.aborted === true) return
        await session.close({ timeoutMs: REVOKE_WAIT_MS })
      } catch (error) {
        const isGone = isLeaseGone(error)
        if (isGone || registered === undefined) await session.close({ timeoutMs: REVOKE_WAIT_MS })
        // The session did not know yet that its lease has ended: the next one registers again.
        if (!isGone || registered === undefined) throw error
      }
    }
  }

  async #put(fields: Fields, lease: string, call: CallOptions, takesOver: boolean): Promise<void> {
    const put = { key: this.#key, value: JSON.stringify(fields), lease }
    for (;;) {
      const same = { key: this.#key, target: 'modRevision', op: '=', to: this.#revision } as const
      const { succeeded, revision, results } = await this.#kv.txn(
        { compare: [same], success: [{ put }], failure: [{ get: { key: this.#key } }] },
        call,
      )
      if (succeeded) {
        this.#revision = revision
        return
      }
      const read = results[0]?.get
      // A transaction that was sent twice returns no reads: the next one does.
      if (read === undefined || read.omitted === true) continue
      const [found] = read.kvs
      const isOther = found?.lease !== undefined && !this.#ownLeases.includes(found.lease)
      if (isOther && !takesOver) throw this.#replaced()
      this.#revision = found?.modRevision ?? 0
    }
  }

  /** Reports once that another process has registered the id. */
  #replaced(): QuorateError {
    const error = registrationReplaced(this.id)
    if (!this.#isReplaced) this.#onProblem(error)
    this.#isReplaced = true
    return error
  }
}

/** A copy as the store will return it. It must be an object as JSON too. */
function jsonCopy(caller: string, meta: Instance['meta']): Instance['meta'] {
  const text: string | undefined = JSON.stringify(meta)
  const copy = text && JSON.parse(text)
  checkValue(caller, 'meta', copy, objectCheck)
  return copy
}

const registrationReplaced = (id: string) =>
  new QuorateError(
    `another process has registered the instance ${id}: this one is not listed while that one is`,
    {
      code: 'registration_replaced',
      written: 'no',
    },
  )

const registrationLost = (id: string, cause: unknown) =>
  new QuorateError(`the instance ${id} has lost its lease, and is registered again`, {
    code: 'registration_lost',
    written: 'no',
    cause,
  })

const keyLost = (id: string) =>
  new QuorateError(`the key of the instance ${id} was deleted or overwritten, and is written again`, {
    code: 'registration_lost',
    written: 'no',
  })

/** The fields were written, but their lease had ended by then. `error`: why they were not written once more. */
function writtenBefore(error: unknown): unknown {
  if (!(error instanceof QuorateError) || error.written !== 'no') return error
  const OfItsKind = [AbortedError, UnavailableError, UnreachableError].find((each) => error instanceof each)
  const details = { code: error.code, written: 'unknown', cause: error } as const
  return new (OfItsKind ?? QuorateError)(error.message, details)
}

/** `cause`: the error of a write that was in flight. */
const registrationClosed = (cause?: unknown) =>
  new AbortedError('registration.update: the registration was closed', {
    code: 'closed',
    written: cause instanceof QuorateError ? cause.written : 'no',
    cause,
  })

export const weightCheck: Check = (value) =>
  typeof value === 'number' && value >= 0 && value <= Number.MAX_SAFE_INTEGER
    ? undefined
    : 'a number from 0 to 2^53 - 1'
