// Proposes the change of a call, and decides again whether it is permitted when rights were changed meanwhile.

import { type Command, commandOutcomeKind, type OutcomeOf } from '../../kv/index.ts'
import type { AnswerHead } from '../../operations/forms/answer-head.ts'
import type { ApiError, Idempotency } from '../../operations/forms/index.ts'
import type { CommandResult } from '../node/result.ts'
import type { Respond } from './answer.ts'
import type { Api } from './api.ts'
import type { Call } from './call.ts'
import { errorOfNode, errorOfOutcome } from './errors.ts'
import { decide, type RightsView, unidentified } from './permit.ts'
import { timeLeftMs } from './read-options.ts'

interface ProposingApi extends Pick<Api, 'toApiError'> {
  readonly node: RightsView & Pick<Api['node'], 'propose'>
}

/** A command that was applied. For most kinds of commands it is the answer to the operation. */
export type AppliedAnswer<C extends Command> = C extends Command
  ? { readonly kind: C['kind']; readonly result: OutcomeOf<C['kind']>; readonly head: AnswerHead }
  : never

const FIRST: AnswerHead = { replayed: false }
const REPLAYED: AnswerHead = { replayed: true }

export function propose<C extends Command>(
  api: ProposingApi,
  command: C,
  idempotency: Idempotency | undefined,
  call: Call,
  respond: Respond<AppliedAnswer<C>>,
): void {
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
  const settle = (result: CommandResult): void => {
    if (operation === undefined || !isUnpermitted(result)) {
      respond(appliedFrom(api, command, result))
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
        respond(api.toApiError(error))
      }
    })
  }
  api.node.propose(request, timeLeftMs(call), settle, trace)
}

/** Whether apply has refused a change because rights were changed since it was proposed. */
export const isUnpermitted = (result: CommandResult): boolean =>
  result.ok && result.value.outcome.kind === 'refused' && result.value.outcome.reason === 'rights-changed'

function appliedFrom<C extends Command>(
  api: ProposingApi,
  command: C,
  result: CommandResult,
): ApiError | AppliedAnswer<C> {
  if (!result.ok) return errorOfNode(result.problem)
  const { outcome, replayed } = result.value
  if (outcome.kind === 'refused' || outcome.kind === 'precondition-failed')
    return errorOfOutcome(outcome, { replayed })
  if (outcome.kind !== commandOutcomeKind(command))
    return api.toApiError(new Error(`the outcome of another command: ${outcome.kind}`), 'unknown')
  // TypeScript does not see that outcome and command are of one kind.
  return {
    kind: command.kind,
    result: outcome,
    head: replayed ? REPLAYED : FIRST,
  } as unknown as AppliedAnswer<C>
}
