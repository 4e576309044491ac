// Reads all of the store at one revision, as the bytes of a file.

import type { OperationFacts, RouteForm } from './definition.ts'
import type { ReadGrant } from './forms/freshness.ts'
import { ADMINISTER } from './forms/rights.ts'
import { freshnessHeaders, NOSNIFF, OCTETS, type WholeResponse } from './http/form.ts'
import { flag } from './http/parameters.ts'
import { getRequest, withQuery } from './http/requests.ts'
import { route } from './http/route.ts'

export interface BackupRequest {
  readonly kind: 'backup'
  /** false: without the versions of keys that were replaced. */
  readonly history: boolean
}

export const backup = {
  effect: 'read',
  isAudited: true,
  label: 'other',
  isStreamed: () => true,
  demands: () => ADMINISTER,
  http: {
    routes: [
      route(
        {
          method: 'GET',
          path: '/v1/backup',
          summary: 'All of the store at one revision, as a file',
          parameters: { history: flag('false: without the versions of keys that were replaced') },
          answers: 'application/octet-stream',
        },
        ({ values: { history = true } }) => ({ kind: 'backup', history }),
      ),
    ],
    encode: ({ history }) => getRequest(withQuery('/v1/backup', { history: history ? undefined : false })),
  },
} satisfies OperationFacts<unknown> & { readonly http: RouteForm<BackupRequest> }

/** The answer before the file, which is a stream. */
export const encodeBackupHead = (grant: ReadGrant): Omit<WholeResponse, 'body'> => ({
  status: 200,
  headers: [...OCTETS, ...NOSNIFF, ...freshnessHeaders(grant)],
  revision: grant.revision,
})
