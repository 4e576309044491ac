// The credentials of a client: a user with a password, for which nodes give tokens, or a token of the application.
//
// A client with a user logs in before its first call, and again when its token is about to end or was refused. All
// calls share one login. While rights are not checked, a node answers the login with 400. Then requests name no user,
// until an answer is `unauthenticated`.

import type { TokenResult } from '../operations/documents/auth.ts'
import type { LogInRequest } from '../operations/log-in.ts'
import { QuorateError, UnavailableError, UnreachableError } from './errors.ts'
import { type Interruption, pauseUntilInterrupted } from './interruption.ts'
import { LEFT_MIN_MS } from './retry-policy.ts'
import { type NodeAnswer, resultFrom } from './transport/transport.ts'

/** Shares of the life of a token: a call renews it in the background, and does not use it any more. */
const RENEW_SHARE = 0.7
const USED_SHARE = 0.95
/** Pause after a renewal in the background has failed. */
const RENEW_AGAIN_MS = 5_000

interface CredentialOptions {
  readonly user?: string | undefined
  readonly password?: string | undefined
  readonly token?: string | undefined
}

/** Performs a request without credentials. */
type LoginCall = (request: LogInRequest, timeoutMs: number) => Promise<NodeAnswer<TokenResult>>

export class ClientCredentials {
  readonly #user: string | undefined
  readonly #password: string | undefined
  readonly #call: LoginCall
  /** The Authorization header of requests. It is never part of a message. */
  authorization: string | undefined
  /** There is no token, or the one that was there was refused. */
  #isLacking: boolean
  #renewAtMs = Number.POSITIVE_INFINITY
  #endsAtMs = Number.POSITIVE_INFINITY
  /** Resolves with the error of the login in flight. */
  #login: Promise<QuorateError | undefined> | undefined

  constructor({ user, password, token }: CredentialOptions, call: LoginCall) {
    this.#user = user
    this.#password = password
    this.#call = call
    this.authorization = token && bearer(token)
    this.#isLacking = user !== undefined
  }

  /** Whether a request must wait for a login. */
  isLacking(nowMs = performance.now()): boolean {
    return this.#isLacking || nowMs >= this.#endsAtMs
  }

  /** Logs in before a request that cannot be sent yet. Returns the error of the login. */
  async obtain(timeoutMs: number, interruption: Interruption): Promise<QuorateError | undefined> {
    const deadline = performance.now() + timeoutMs
    for (;;) {
      const isShared = this.#login !== undefined
      const login = this.#logIn(deadline - performance.now())
      await pauseUntilInterrupted(deadline - performance.now(), interruption, { until: login })
      const error = await Promise.race([login, LATE])
      if (error === undefined) return undefined
      // The login of another call may have had less time.
      const isOver = performance.now() >= deadline - LEFT_MIN_MS || interruption.reason() !== undefined
      if (!isShared || isOver || !mayPass(error)) return error
    }
  }

  /** Renews a token that is about to end. No call waits for it. */
  renewInTime(timeoutMs: number): void {
    const nowMs = performance.now()
    if (nowMs < this.#renewAtMs || this.#login !== undefined) return
    this.#renewAtMs = nowMs + RENEW_AGAIN_MS
    void this.#logIn(timeoutMs)
  }

  /** A node has refused a request with this header. Returns whether another try may have a better one. */
  refused(authorization: string | undefined): boolean {
    if (this.#user === undefined) return false
    if (authorization === this.authorization) this.#isLacking = true
    return true
  }

  #logIn(timeoutMs: number): Promise<QuorateError | undefined> {
    this.#login ??= this.#requestToken(timeoutMs).finally(() => {
      this.#login = undefined
    })
    return this.#login
  }

  async #requestToken(timeoutMs: number): Promise<QuorateError | undefined> {
    const startedAt = performance.now()
    const request = { kind: 'log-in', user: this.#user ?? '', password: this.#password ?? '' } as const
    try {
      const { token, expiresInMs } = resultFrom(await this.#call(request, timeoutMs))
      this.#have(bearer(token), startedAt, expiresInMs)
      return undefined
    } catch (error) {
      if (!(error instanceof QuorateError)) throw error
      if (error.code !== 'bad_request') return error
      this.#have(undefined, startedAt, Number.POSITIVE_INFINITY)
      return undefined
    }
  }

  #have(authorization: string | undefined, sinceMs: number, lifeMs: number): void {
    this.authorization = authorization
    this.#isLacking = false
    this.#renewAtMs = sinceMs + lifeMs * RENEW_SHARE
    this.#endsAtMs = sinceMs + lifeMs * USED_SHARE
  }
}

const bearer = (token: string): string => `Bearer ${token}`

const mayPass = (error: QuorateError): boolean =>
  error instanceof UnavailableError || error instanceof UnreachableError

/** The error of a call whose time is over before the login has ended. */
const LATE = new UnavailableError('not sent: the login has not ended in time', {
  code: 'timeout',
  written: 'no',
})
