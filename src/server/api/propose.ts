// Proposes the change of a call, and decides again whether it is permitted when rights were changed meanwhile.

import { type Command, commandOutcomeKind, type Outcome } from '../../kv/index.ts'
import type { Idempotency } from '../../operations/forms/index.ts'
import type { Result } from '../node/result.ts'
import type { Api } from './api.ts'
import { errorOfNode, errorOfOutcome } from './errors.ts'
import type { ApiResult, Call, Respond } from './operation.ts'
import { decide, type RightsView, unidentified } from './permit.ts'
import { timeLeftMs } from './read-options.ts'

interface ProposingApi extends Pick<Api, 'errorOf'> {
  readonly node: RightsView & Pick<Api['node'], 'propose'>
}

type Proposed = Result<{ readonly outcome: Outcome; readonly replayed: boolean }>

export function propose(
  api: ProposingApi,
  command: Command,
  idempotency: Idempotency | undefined,
  call: Call,
  respond: Respond,
) {
  const { permit, operation, trace } = call
  const request =
    permit === undefined
      ? { command, idempotency, principal: '' }
      : {
          command,
          idempotency,
          principal: permit.principal.user,
          authRevision: permit.authRevision,
          madeAt: permit.madeAt,
        }
  const settle = (result: Proposed): void => {
    if (operation === undefined || !isUnpermitted(result)) {
      respond(resultOf(api, command, result))
      return
    }
    // Rights were changed before it was applied.
    if (call.principal === undefined) {
      respond(unidentified())
      return
    }
    decide(api.node, operation, call, (refusal) => {
      if (refusal !== undefined) return respond(refusal)
      try {
        propose(api, command, idempotency, call, respond)
      } catch (error) {
        respond(api.errorOf(error))
      }
    })
  }
  api.node.propose(request, timeLeftMs(call), settle, trace)
}

const isUnpermitted = (result: Proposed): boolean =>
  result.ok && result.value.outcome.kind === 'refused' && result.value.outcome.reason === 'rights-changed'

function resultOf(api: ProposingApi, command: Command, result: Proposed): ApiResult {
  if (!result.ok) return errorOfNode(result.problem)
  const { outcome, replayed } = result.value
  if (outcome.kind === 'refused' || outcome.kind === 'precondition-failed')
    return errorOfOutcome(outcome, { replayed })
  if (outcome.kind !== commandOutcomeKind(command))
    return api.errorOf(new Error(`the outcome of another command: ${outcome.kind}`), 'unknown')
  return command.kind === 'txn'
    ? { kind: 'applied', outcome, replayed, txn: command.txn }
    : { kind: 'applied', outcome, replayed }
}
