// Proposes requests as the API of a node does: it decides on the rights of the user, proposes, and decides again when
// rights have changed. Only the last step differs: the entry names the request. The name begins with the user.

import type { Command, Outcome, Request } from '../../../src/kv/index.ts'
import { ApiError } from '../../../src/operations/forms/index.ts'
import type { Operation } from '../../../src/operations/index.ts'
import type { Call } from '../../../src/server/api/call.ts'
import { decide } from '../../../src/server/api/permit.ts'
import { propose } from '../../../src/server/api/propose.ts'
import type { Driver } from '../../../src/server/node/driver.ts'
import type { Result } from '../../../src/server/node/result.ts'
import type { Time } from '../world/time.ts'
import { DAMAGED, unlessDamaged } from './damaged-read.ts'

export type ProposeResult =
  | Extract<DriverResult, { readonly ok: true }>
  | {
      readonly ok: false
      readonly problem: { readonly code: string; readonly written: 'no' | 'unknown' }
    }
type DriverResult = Result<{ readonly outcome: Outcome; readonly replayed: boolean }>

/** Names of users whose rights change. Everything else that the simulator requests is requested by root. */
const USER = /^user\d+(?=\.)/

export const parseUser = (principal: string): string => USER.exec(principal)?.[0] ?? 'root'

/** `done`: with what the log or the driver answers, or with the refusal of a user without the right. */
export function proposePermitted(
  time: Pick<Time, 'now'>,
  driver: Driver,
  request: Request,
  timeoutMs: number,
  done: (result: ProposeResult) => void,
): void {
  const { command, idempotency, principal } = request
  const until = time.now + timeoutMs
  let answered: DriverResult | undefined
  const node: Parameters<typeof propose>[0]['node'] = {
    get auth() {
      return driver.auth
    },
    lease: (id) => driver.lease(id),
    keysOfLease: (id) => driver.keysOfLease(id),
    status: () => driver.status(),
    // The time of the simulation counts, not that of the call.
    propose: (made, _timeoutMs, then) => {
      answered = undefined
      driver.propose({ ...made, principal }, Math.max(1, until - time.now), (result) => {
        answered = result
        then(result)
        // Whatever comes later is another answer.
        answered = undefined
      })
    },
    read: (options, then) =>
      driver.read(
        { ...options, timeoutMs: Math.max(1, Math.min(options.timeoutMs, until - time.now)) },
        then,
      ),
  }
  const thrown = (error: unknown): never => {
    throw error
  }
  const api = { node, toApiError: thrown }
  const call: Call = {
    deadline: Number.POSITIVE_INFINITY,
    expansion: 1,
    isAbandoned: () => false,
    principal: { user: parseUser(principal), epoch: undefined },
    operation: operationFrom(command),
  }
  // If the rights are damaged, the node ends.
  const decided = unlessDamaged(() =>
    decide(api.node, operationFrom(command), call, (refusal) => {
      if (refusal !== undefined) return done(refusedBy(refusal))
      propose(api, command, idempotency, call, (result) => {
        const isRefused = result instanceof ApiError && UNPERMITTED.has(result.code)
        if (isRefused || answered === undefined) done(refusedBy(result))
        else done(answered)
      })
    }),
  )
  if (decided === DAMAGED) done({ ok: false, problem: { code: 'not_ready', written: 'no' } })
}

const UNPERMITTED: ReadonlySet<string> = new Set(['unauthenticated', 'permission_denied'])

function refusedBy(result: unknown): ProposeResult {
  if (!(result instanceof ApiError)) throw new Error('neither an answer nor a refusal')
  return { ok: false, problem: { code: result.code, written: 'no' } }
}

/** The operation that rights are decided on. */
function operationFrom(command: Command): Operation {
  const kind = command.kind === 'settings' ? 'change-settings' : command.kind
  return { ...command, kind: kind === 'auth' ? 'change-auth' : kind, idempotency: undefined } as Operation
}
