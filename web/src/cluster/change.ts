// A change that the user makes. It has an idempotency token, so the page may send it again when no answer came: it is
// applied at most once.

import type { IdempotencyToken } from '../../../src/operations/forms/idempotency.ts'
import { asRevision } from '../../../src/operations/forms/store.ts'
import { newest } from './cluster-view.ts'
import { type Answered, type PageOperation, RefusedError, run, UnreachableError } from './connection.ts'

const TRIES = 4
const PAUSE_MS = 400

/** A new name for a change. */
export function nameChange(): IdempotencyToken {
  // Browsers offer randomUUID() to secure pages only.
  const random = crypto.getRandomValues(new Uint32Array(4))
  const token = `console-${Array.from(random, (word) => word.toString(36)).join('')}`
  // An empty store has no revision yet.
  const revision = newest.peek()?.revision ?? 0
  return { token, since: revision === 0 ? undefined : asRevision(revision) }
}

/**
 * Makes the change, in several tries if it has a token. Throws `RefusedError`: nothing was written, unless its problem
 * says otherwise. Throws `UnreachableError`: `written` says what is known.
 */
export async function change<Q extends { readonly idempotency?: unknown }, R>(
  operation: PageOperation<Q, R>,
  request: Q,
): Promise<Answered<R>> {
  let isUnknown = false
  for (let left = request.idempotency === undefined ? 1 : TRIES; ; left--) {
    try {
      return await run(operation, request)
    } catch (error) {
      // A refusal that may pass, or a try that nobody received, says nothing about the tries before.
      const isPassing = error instanceof RefusedError && error.problem.passing
      if (!isPassing && !(error instanceof UnreachableError)) {
        // Rights are checked before the token: such a refusal does not say that an earlier try was not applied.
        const isAboutAll = error instanceof RefusedError && error.problem.code === 'precondition_failed'
        if (isUnknown && error instanceof Error && !isAboutAll)
          throw new UnreachableError(error.message, 'unknown')
        throw error
      }
      isUnknown ||=
        error instanceof UnreachableError ? error.written === 'unknown' : error.problem.written === 'unknown'
      if (left <= 1) throw isUnknown ? new UnreachableError(error.message, 'unknown') : error
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
  }
}
