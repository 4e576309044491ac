// Whether the user may change what the page of operation shows.

import { showUsers } from '../../../../src/operations/show-users.ts'
import { describeError, RefusedError, run } from '../../cluster/connection.ts'

export interface TabProps {
  /** false: what needs the permission admin is not offered. */
  readonly mayChange: boolean
}

/**
 * Why the user lacks the permission admin; undefined: it is there, or rights are not checked. The list of users needs
 * the same permission as all changes of this page.
 */
export async function readAdminRefusal(signal: AbortSignal): Promise<string | undefined> {
  try {
    await run(showUsers, { kind: 'show-users', name: undefined }, { signal })
    return undefined
  } catch (error) {
    if (error instanceof RefusedError && error.problem.code === 'permission_denied')
      return describeError(error)
    throw error
  }
}
