// One instance of a service (registry.ts) that this process keeps registered.
//
// Invariant: `#fields` is what the next write has, and every write compares the key's mod revision.

import { randomUUID } from 'node:crypto'
import {
  AbortedError,
  type CallOptions,
  type Client,
  OutcomeUnknownError,
  QuorateError,
  type Session,
} from '../client/index.ts'
import { type Check, checkOptions, checkValue, isSignal, isText } from '../client/validators.ts'
import { escapePart, type KeySpace } from './key-space.ts'
import { abortedError, CALL_OPTIONS } from './option-checks.ts'
import { runUserCallback } from './run-user-callback.ts'
import { isClosed, isTooLarge } from './transient-errors.ts'
import { REVOKE_WAIT_MS } from './wait-until.ts'
import { anySignal, orAborted, pause } from './watch-helpers.ts'

const TTL_MS = 10_000
const RETRY_MS = 1_000

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
  /** Called when the instance was lost, and for each failed attempt to register again. */
  readonly onProblem?: ((error: unknown) => void) | undefined
  /** Ends the registration with an `AbortError`, and removes what was written. No effect once it is registered. */
  readonly signal?: AbortSignal | undefined
}

export interface Registration extends AsyncDisposable {
  readonly id: string
  /** Whether its lease is alive. A revoked lease is noticed within a third of `ttlMs`. */
  readonly isRegistered: boolean
  /**
   * Replaces weight, metadata or URL, one update after another. While the instance is lost, the update waits for the
   * next registration; `signal` ends it with an `AbortError`. Throws if another process has registered this id, and
   * after `close`.
   */
  update(
    changes: Partial<Pick<Instance, 'url' | 'weight' | 'meta'>>,
    options?: { readonly signal?: AbortSignal | undefined },
  ): Promise<void>
  /** Removes the instance. false: no node has confirmed it, and the instance is removed when its lease expires. */
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
  /** The fields that the next write has. */
  #fields: Fields
  #written: Fields | undefined
  /** The key's mod revision as it was last seen; 0: no key. */
  #revision = 0
  #session: Session | undefined
  /** Fires when the session is lost, and when there is a new one. */
  #sessionChange = new AbortController()
  /** Settles when the last update in the line has ended. */
  #lastUpdate = Promise.resolve()
  #keeping: Promise<void> | undefined

  constructor(kv: RegistryClient, space: KeySpace, instance: NewInstance) {
    const { id = randomUUID(), url, weight = 1, meta = {}, ttlMs = TTL_MS, onProblem } = instance
    this.id = id
    this.#kv = kv
    this.#key = space.key(escapePart(id).toString())
    this.#ttlMs = ttlMs
    this.#onProblem = (error) => runUserCallback(() => onProblem?.(error))
    this.#fields = { url, weight, meta: jsonCopy('registry.register', meta) }
  }

  async begin(signal: AbortSignal | undefined): Promise<void> {
    await this.#register(signal)
    if (signal?.aborted === true) {
      await this.#session?.close({ timeoutMs: REVOKE_WAIT_MS })
      // Others may have seen the instance.
      const details = { code: 'aborted', written: 'unknown', cause: signal.reason } as const
      throw new AbortedError('registry.register was aborted', details)
    }
    this.#keeping = this.#keepRegistered()
  }

  get isRegistered(): boolean {
    return this.#session !== undefined && this.#session.leftMs > 0
  }

  async update(
    changes: Partial<Fields>,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<void> {
    checkOptions('registration.update', changes, { url: isText, weight: isWeight, meta: isMeta })
    checkOptions('registration.update', options, { signal: isSignal })
    const { url, weight } = changes
    const meta = changes.meta && jsonCopy('registration.update', changes.meta)
    const before = this.#lastUpdate
    const ended = Promise.withResolvers<void>()
    this.#lastUpdate = ended.promise
    try {
      await orAborted(before, options.signal, 'registration.update')
      const fields = this.#fields
      this.#fields = { url: url ?? fields.url, weight: weight ?? fields.weight, meta: meta ?? fields.meta }
      try {
        await this.#writeWhileRegistered(options.signal)
      } catch (error) {
        if (!isRepeated(error)) this.#fields = fields
        throw error
      }
    } finally {
      void before.then(ended.resolve)
    }
  }

  async close(options: CallOptions = {}): Promise<boolean> {
    checkOptions('registration.close', options, CALL_OPTIONS)
    this.#end.abort()
    await this.#keeping
    return (await this.#session?.close(options)) === true
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #keepRegistered(): Promise<void> {
    const { signal } = this.#end
    while (!signal.aborted) {
      const lost = anySignal(signal, this.#session?.signal, this.#sessionChange.signal)
      await pause(Number.POSITIVE_INFINITY, lost, { unref: true })
      if (signal.aborted) return
      this.#onProblem(this.#session?.signal.reason ?? registrationLost(this.id))
      this.#session = undefined
      while (!signal.aborted && this.#session === undefined) {
        try {
          await this.#register(signal)
        } catch (error) {
          if (isClosed(error)) this.#end.abort()
          if (signal.aborted) return
          this.#onProblem(error)
          await pause(RETRY_MS, signal, { unref: true })
        }
      }
    }
  }

  /** Replaces an instance that another process has registered under this id: this one, before a restart. */
  async #register(signal: AbortSignal | undefined): Promise<void> {
    const session = await this.#kv.session({ ttlMs: this.#ttlMs, signal })
    try {
      await this.#write(session, signal, true)
    } catch (error) {
      await session.close({ timeoutMs: REVOKE_WAIT_MS })
      throw error
    }
    this.#session = session
    this.#changeSession()
  }

  /** Wakes what waits for a change of the session. */
  #changeSession(): void {
    const change = this.#sessionChange
    this.#sessionChange = new AbortController()
    change.abort()
  }

  async #writeWhileRegistered(signal: AbortSignal | undefined): Promise<void> {
    const isOver = anySignal(this.#end.signal, signal)
    let wasLost = false
    try {
      // The next registration writes the fields too.
      while (this.#written !== this.#fields) {
        if (this.#end.signal.aborted) throw registrationClosed()
        if (signal?.aborted === true) throw abortedError(signal, 'registration.update')
        const session = this.#session
        if (session !== undefined && session.leftMs > 0) {
          if (await this.#writeIn(session, isOver)) return
          wasLost = true
        } else {
          wasLost = true
          // The wait keeps the process alive, though the registration does not.
          await pause(Number.POSITIVE_INFINITY, anySignal(this.#sessionChange.signal, isOver))
        }
      }
    } catch (error) {
      // A registration of unknown outcome may have written the fields.
      throw wasLost ? unknownOutcome(error) : error
    }
  }

  /** false: the instance is lost. */
  async #writeIn(session: Session, isOver: AbortSignal): Promise<boolean> {
    try {
      await this.#write(session, isOver)
      return true
    } catch (error) {
      if (this.#end.signal.aborted) throw registrationClosed(error)
      if (!(error instanceof QuorateError && LOST_CODES.includes(error.code))) throw error
      if (this.#session === session) this.#session = undefined
      await session.close({ timeoutMs: REVOKE_WAIT_MS })
      return false
    }
  }

  async #write(session: Session, signal: AbortSignal | undefined, isRegistering = false): Promise<void> {
    const { lease } = session
    const fields = this.#fields
    const put = { key: this.#key, value: JSON.stringify(fields), lease }
    for (;;) {
      const same = { key: this.#key, target: 'modRevision', op: '=', to: this.#revision } as const
      const { succeeded, revision, results } = await this.#kv.txn(
        { compare: [same], success: [{ put }], failure: [{ get: { key: this.#key } }] },
        { signal },
      )
      if (succeeded) {
        this.#revision = revision
        this.#written = fields
        return
      }
      const read = results[0]?.get
      // The client has sent it twice: the cluster remembers what was written, but not what was read.
      if (read === undefined || read.omitted === true) continue
      const [found] = read.kvs
      if (!isRegistering && found?.lease === undefined) throw registrationLost(this.id)
      if (!isRegistering && found?.lease !== lease) throw registrationReplaced(this.id)
      this.#revision = found?.modRevision ?? 0
    }
  }
}

/** Whether the next write has the fields of this update too: not if a proxy rejects it. */
const isRepeated = (error: unknown): boolean =>
  error instanceof OutcomeUnknownError && !isTooLarge(error.cause)

/** The same error for a call whose change may have been written by another call. */
function unknownOutcome(error: unknown): unknown {
  if (!(error instanceof QuorateError) || error.written !== 'no') return error
  const details = { code: error.code, written: 'unknown', cause: error } as const
  if (error instanceof AbortedError) return new AbortedError(error.message, details)
  return new OutcomeUnknownError(error.message, details)
}

/** A copy as the store will return it. It must be an object as JSON too. */
function jsonCopy(caller: string, meta: Instance['meta']): Instance['meta'] {
  const text: string | undefined = JSON.stringify(meta)
  const copy = text && JSON.parse(text)
  checkValue(caller, 'meta', copy, isMeta)
  return copy
}

const registrationReplaced = (id: string) =>
  new QuorateError(`registration.update: another process has registered ${id}`, {
    code: 'registration_replaced',
    written: 'no',
  })

const registrationLost = (id: string) =>
  new QuorateError(`the key of ${id} is gone: its lease has expired, or it was deleted`, {
    code: 'registration_lost',
    written: 'no',
  })

const LOST_CODES: readonly string[] = ['registration_lost', 'lease_not_found']

/** `cause`: the error of a write that was in flight. */
const registrationClosed = (cause?: unknown) =>
  new AbortedError('registration.update: the registration was closed', {
    code: 'closed',
    written: cause instanceof QuorateError ? cause.written : 'no',
    cause,
  })

export const isWeight: Check = (value) =>
  typeof value === 'number' && value >= 0 && value <= Number.MAX_SAFE_INTEGER
    ? undefined
    : 'a number from 0 to 2^53 - 1'
export const isMeta: Check = (value) =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? undefined : 'an object'
