// Requests for users, roles and the switch that makes rights be checked.

import { changeAuth, type RequestedAuthChange } from '../../../../src/operations/change-auth.ts'
import { showAuth } from '../../../../src/operations/show-auth.ts'
import { showRoles } from '../../../../src/operations/show-roles.ts'
import { showUsers } from '../../../../src/operations/show-users.ts'
import { describeError, RefusedError, run } from '../../cluster/connection.ts'
import { failedChange } from './outcome.tsx'
import type { AuthOverview } from './permissions.ts'

const TRIES = 5

/** Reads all three at one revision. Whoever may not see users and roles sees the switch, and the reason. */
export async function readAuth(signal: AbortSignal): Promise<AuthOverview> {
  const { result: status } = await run(showAuth, { kind: 'show-auth' }, { signal })
  try {
    for (let left = TRIES; ; left--) {
      const { result: users } = await run(showUsers, { kind: 'show-users', name: undefined }, { signal })
      const { result: roles } = await run(showRoles, { kind: 'show-roles', name: undefined }, { signal })
      if ('user' in users || 'role' in roles) throw new Error('the answer names one of many')
      if (users.revision !== roles.revision && left > 1) continue
      const byName = <T extends { readonly name: string }>(all: readonly T[]) =>
        all.toSorted((a, b) => (a.name < b.name ? -1 : 1))
      return {
        enabled: status.enabled,
        // With the older one of two, a change is refused rather than made over what was not seen.
        revision: Math.min(users.revision, roles.revision),
        users: byName(users.users),
        roles: byName(roles.roles),
        refusal: undefined,
      }
    }
  } catch (error) {
    if (error instanceof RefusedError)
      return { ...status, users: [], roles: [], refusal: describeError(error) }
    throw error
  }
}

/**
 * Makes the change if nothing has changed since `revision`. Throws an error whose message says what became of it;
 * `onConflict` is called first when somebody else was faster.
 */
export async function changeUsers(
  change: RequestedAuthChange,
  revision: number | undefined,
  onConflict: () => void,
): Promise<void> {
  try {
    await run(changeAuth, { kind: 'change-auth', change, ifRevision: revision })
  } catch (error) {
    if (!(error instanceof RefusedError) || error.problem.code !== 'precondition_failed')
      throw failedChange(error)
    onConflict()
    throw new Error(
      'Nothing was changed: somebody else has changed users or roles meanwhile. They were read again. Look at them, and decide once more.',
    )
  }
}
