// One instance of a service (registry.ts) that this process keeps registered.
//
// Invariant: writes run one after another, and every write compares the key's mod revision, so a late copy of an
// earlier one changes nothing. `#fields` is what the last successful write had, and only that is written again.

import { randomUUID } from 'node:crypto'
import { AbortedError, type CallOptions, type Client, QuorateError, type Session } from '../client/index.ts'
import { pause } from '../client/timer.ts'
import { type Check, checkOptions, checkValue, isObject, isSignal, isText } from '../client/validators.ts'
import { escapePart, type KeySpace } from './key-space.ts'
import { CALL_OPTIONS } from './option-checks.ts'
import { runUserCallback } from './run-user-callback.ts'
import { isClosed, isLeaseGone } from './transient-errors.ts'
import { REVOKE_WAIT_MS } from './wait-until.ts'
import { anySignal } from './watch-helpers.ts'

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
  /** Ends the call with an `AbortError`, and removes what it has written. No effect once it is registered. */
  readonly signal?: AbortSignal | undefined
}

export interface Registration extends AsyncDisposable {
  readonly id: string
  /** Whether its lease is alive. A revoked lease is noticed within a third of `ttlMs`. */
  readonly isRegistered: boolean
  /**
   * Replaces weight, metadata or URL, one update after another. If the lease is lost, it registers the instance again.
   * Throws if another process has registered this id, and after `close`.
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
  #fields: Fields
  /** The key's mod revision as it was last seen; 0: no key. */
  #revision = 0
  #session: Session | undefined
  #lastWrite: Promise<unknown> = Promise.resolve()
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
    await this.#write(this.#fields, anySignal(this.#end.signal, signal))
    this.#keeping = this.#keepRegistered()
  }

  get isRegistered(): boolean {
    return this.#session !== undefined && this.#session.leftMs > 0
  }

  async update(
    changes: Partial<Fields>,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<void> {
    checkOptions('registration.update', changes, { url: isText, weight: isWeight, meta: isObject })
    checkOptions('registration.update', options, { signal: isSignal })
    const { url, weight } = changes
    const meta = changes.meta && jsonCopy('registration.update', changes.meta)
    await this.#inTurn(async () => {
      const { url: oldUrl, weight: oldWeight, meta: oldMeta } = this.#fields
      const fields = { url: url ?? oldUrl, weight: weight ?? oldWeight, meta: meta ?? oldMeta }
      try {
        await this.#write(fields, anySignal(this.#end.signal, options.signal))
      } catch (error) {
        throw this.#end.signal.aborted ? registrationClosed(error) : error
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
    while (!signal.aborted) {
      await pause(Number.POSITIVE_INFINITY, anySignal(signal, this.#session?.signal), { unref: true })
      if (signal.aborted) return
      this.#onProblem(registrationLost(this.id, this.#session?.signal.reason))
      while (!signal.aborted && !this.isRegistered) {
        try {
          await this.#inTurn(() => this.#write(this.#fields, signal))
        } catch (error) {
          if (signal.aborted || isClosed(error)) return
          this.#onProblem(error)
          await pause(RETRY_MS, signal, { unref: true })
        }
      }
    }
  }

  /** Without a live session it begins one, and replaces an instance that another process has registered. */
  async #write(fields: Fields, signal: AbortSignal): Promise<void> {
    for (;;) {
      const registered = this.isRegistered ? this.#session : undefined
      const session = registered ?? (await this.#kv.session({ ttlMs: this.#ttlMs, signal }))
      try {
        await this.#put(fields, session.lease, signal, registered === undefined)
        this.#fields = fields
        this.#session = session
        // The process may have been stopped for longer than the lease lives.
        if (this.isRegistered || signal.aborted) return
        await session.close({ timeoutMs: REVOKE_WAIT_MS })
      } catch (error) {
        const isGone = isLeaseGone(error)
        if (isGone || registered === undefined) await session.close({ timeoutMs: REVOKE_WAIT_MS })
        // The session did not know yet that its lease has ended: the next one registers again.
        if (!isGone || registered === undefined) throw error
      }
    }
  }

  async #put(fields: Fields, lease: string, signal: AbortSignal, replaces: boolean): Promise<void> {
    const put = { key: this.#key, value: JSON.stringify(fields), lease }
    for (;;) {
      const same = { key: this.#key, target: 'modRevision', op: '=', to: this.#revision } as const
      const { succeeded, revision, results } = await this.#kv.txn(
        { compare: [same], success: [{ put }], failure: [{ get: { key: this.#key } }] },
        { signal },
      )
      if (succeeded) {
        this.#revision = revision
        return
      }
      const read = results[0]?.get
      // A transaction that was sent twice returns no reads: the next one does.
      if (read === undefined || read.omitted === true) continue
      const [found] = read.kvs
      const isReplaced = found?.lease !== undefined && found.lease !== lease
      if (isReplaced && !replaces) throw registrationReplaced(this.id)
      this.#revision = found?.modRevision ?? 0
    }
  }
}

/** A copy as the store will return it. It must be an object as JSON too. */
function jsonCopy(caller: string, meta: Instance['meta']): Instance['meta'] {
  const text: string | undefined = JSON.stringify(meta)
  const copy = text && JSON.parse(text)
  checkValue(caller, 'meta', copy, isObject)
  return copy
}

const registrationReplaced = (id: string) =>
  new QuorateError(`registration.update: another process has registered ${id}`, {
    code: 'registration_replaced',
    written: 'no',
  })

const registrationLost = (id: string, cause: unknown) =>
  new QuorateError(`the instance ${id} has lost its lease, and is registered again`, {
    code: 'registration_lost',
    written: 'no',
    cause,
  })

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
