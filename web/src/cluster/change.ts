// Changes that the user makes in one dialog, or on one page. A change has an idempotency token, so the page may send it
// again when no answer came: it is applied at most once.

import type { IdempotencyToken } from '../../../src/operations/forms/idempotency.ts'
import { asRevision } from '../../../src/operations/forms/store.ts'
import type { OutgoingRequest } from '../../../src/operations/http/requests.ts'
import { newest } from './cluster-view.ts'
import {
  isOutcomeUnknown,
  NoAnswerError,
  type PageOperation,
  RefusedError,
  type RequestAnswer,
  run,
} from './connection.ts'
import { userName } from './credentials.ts'

const TRIES = 4
const PAUSE_MS = 400

/** Makes a change, in several tries if its request has a token. */
export type MakeChange = <Q extends { readonly idempotency?: unknown }, R>(
  operation: PageOperation<Q, R>,
  request: Q,
) => Promise<RequestAnswer<R>>

export class Changes {
  /** The last change, while its outcome is unknown. */
  #open: { readonly sent: OutgoingRequest; readonly idempotency: unknown } | undefined

  /**
   * Throws `RefusedError`: nothing was written, unless its problem says otherwise. Throws `NoAnswerError`: `written`
   * says what is known. The same change, made again after an unknown outcome, keeps its token.
   */
  readonly make: MakeChange = async (operation, request) => {
    const last = this.#open
    const isSame =
      last !== undefined &&
      request.idempotency !== undefined &&
      isEqual(operation.http.encode({ ...request, idempotency: last.idempotency }), last.sent)
    const named = isSame ? { ...request, idempotency: last.idempotency } : request
    this.#open =
      named.idempotency === undefined
        ? undefined
        : { sent: operation.http.encode(named), idempotency: named.idempotency }
    try {
      const answer = await this.#send(operation, named, isSame)
      this.#open = undefined
      return answer
    } catch (error) {
      if (!isOutcomeUnknown(error)) this.#open = undefined
      throw error
    }
  }

  /** `wasUnknown`: whether an earlier try may have been applied. */
  async #send<Q extends { readonly idempotency?: unknown }, R>(
    operation: PageOperation<Q, R>,
    request: Q,
    wasUnknown: boolean,
  ): Promise<RequestAnswer<R>> {
    let mayBeApplied = wasUnknown
    const user = userName.peek()
    for (let left = request.idempotency === undefined ? 1 : TRIES; ; left--) {
      try {
        return await run(operation, request)
      } catch (error) {
        // A refusal that may pass, or a try that nobody received, says nothing about the tries before.
        const isPassing = error instanceof RefusedError && error.problem.passing
        if (!isPassing && !(error instanceof NoAnswerError)) {
          // Rights are checked before the token: such a refusal does not say that an earlier try was not applied.
          const isAboutAll = error instanceof RefusedError && error.problem.code === 'precondition_failed'
          // The cluster knows this name no longer: under it, the change can be made no more.
          if (error instanceof RefusedError && error.problem.code === 'idempotency_expired')
            this.#open = undefined
          if (mayBeApplied && error instanceof Error && !isAboutAll)
            throw new NoAnswerError(error.message, 'unknown')
          throw error
        }
        mayBeApplied ||= isOutcomeUnknown(error)
        if (left > 1) await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
        // Whoever has logged in meanwhile has not asked for this change.
        if (left <= 1 || userName.peek() !== user)
          throw mayBeApplied ? new NoAnswerError(error.message, 'unknown') : error
      }
    }
  }
}

/** A new name for a change. */
export function nameChange(): IdempotencyToken {
  // Browsers offer randomUUID() to secure pages only.
  const random = crypto.getRandomValues(new Uint32Array(4))
  const token = `console-${Array.from(random, (word) => word.toString(36)).join('')}`
  // An empty store has no revision yet.
  const revision = newest.peek()?.revision ?? 0
  return { token, since: revision === 0 ? undefined : asRevision(revision) }
}

function isEqual(one: OutgoingRequest, other: OutgoingRequest): boolean {
  const headOf = ({ method, path, headers }: OutgoingRequest): string =>
    JSON.stringify([method, path, headers])
  return headOf(one) === headOf(other) && isSameBody(one.body, other.body)
}

type Body = OutgoingRequest['body']

const isSameBody = (one: Body, other: Body): boolean =>
  one?.length === other?.length && (one?.every((byte, at) => byte === other?.[at]) ?? true)
