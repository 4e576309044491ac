// The health of a node: what probes read.

import { ApiError } from '../../operations/forms/index.ts'
import { jsonResponse } from '../../operations/http/form.ts'
import type { HttpResponse } from '../connections/messages.ts'
import type { DriverStatus } from '../node/observe/status.ts'

/** That the process works. `isVerbose`: with details of the node. */
export const health = (status: DriverStatus, isVerbose = false): HttpResponse =>
  jsonResponse(JSON.stringify(isVerbose ? { status: 'ok', ...details(status) } : { status: 'ok' }))

/** Whether to send requests to the node. Throws `ApiError` (not_ready). */
export function readiness(status: DriverStatus, isClosing: boolean, isVerbose = false): HttpResponse {
  const reasons = isClosing ? ['the node is shutting down', ...status.notReady] : status.notReady
  if (reasons.length > 0) throw new ApiError('not_ready', reasons.join('; '), { members: { reasons } })
  return health(status, isVerbose)
}

const details = ({ name, raft, revision, errors, notReady }: DriverStatus) => ({
  name,
  role: raft.role,
  term: raft.term,
  commit_index: raft.commit,
  applied_index: raft.applied,
  revision,
  reasons: notReady,
  errors,
})
