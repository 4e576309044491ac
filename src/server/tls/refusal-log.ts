// The log of refused connections. Anybody can cause such a line, so each kind of reason is logged once a minute, with
// the number of refusals that were not.

import type { Logger } from '../options.ts'

const LOG_AGAIN_MS = 60_000

export class RefusalLog {
  readonly #logger: Logger
  readonly #now: () => number
  /** State of the log by kind of refusal. There are few kinds. */
  readonly #kinds = new Map<string, { loggedAt: number; unlogged: number }>()

  constructor(logger: Logger, now: () => number = () => performance.now()) {
    this.#logger = logger
    this.#now = now
  }

  /** `why`: the sentence to log, one of those of this kind. */
  refused(kind: string, why: string, fields: object): void {
    this.#log(kind, `a TLS connection was refused: ${why}`, { ...fields, why })
  }

  /** Something about a connection that was accepted. */
  noted(kind: string, what: string): void {
    this.#log(kind, what, {})
  }

  #log(kind: string, message: string, fields: object): void {
    const now = this.#now()
    const last = this.#kinds.get(kind)
    if (last !== undefined && now - last.loggedAt < LOG_AGAIN_MS) {
      last.unlogged++
      return
    }
    const unlogged = last?.unlogged ?? 0
    this.#kinds.set(kind, { loggedAt: now, unlogged: 0 })
    if (unlogged === 0) this.#logger.warn(fields, message)
    else this.#logger.warn({ ...fields, unlogged }, `${message}; ${unlogged} more since the last such line`)
  }
}
