// Makes requests of drawn steps: what of them depends on the store follows the model.

import type { StoreModel } from '../../jepsen-lite/sim/oracle/model.ts'
import { type Command, type Request, SYSTEM_PRINCIPAL } from '../../src/kv/types.ts'
import type { Idempotency } from '../../src/operations/forms/index.ts'
import type { DrawnStep } from './drawn-requests.ts'
import { rev } from './store.ts'

/** The rights under which a user was permitted a request. */
interface Permit {
  readonly authRevision: number
  readonly madeAt: number
}

/** Makes requests of drawn steps, as the nodes of a cluster in the state of the model do. */
export class Requester {
  readonly #model: StoreModel
  readonly #sent: Request[] = []
  /** By user. */
  readonly #permits = new Map<string, Permit[]>()

  constructor(model: StoreModel) {
    this.#model = model
  }

  /** undefined: nobody requests this now. */
  requestOf(step: DrawnStep): Request | undefined {
    switch (step.do) {
      case 'repeat':
        return this.#sent[step.of % Math.max(this.#sent.length, 1)]
      case 'propose':
        return { command: this.#proposal(step.command), idempotency: undefined, principal: SYSTEM_PRINCIPAL }
      case 'request': {
        const { command, user } = step
        const request = {
          ...{ command, idempotency: this.#idempotency(step.idempotency) },
          principal: `${user}.${this.#sent.length}`,
          ...this.#permit(user, command, step.permittedBefore),
        }
        this.#model.requested(request)
        this.#sent.push(request)
        return request
      }
    }
  }

  #proposal(command: Extract<DrawnStep, { do: 'propose' }>['command']): Command {
    if (command.kind !== 'expire') return command
    const leases = command.leases.map(({ id, off }) => ({
      id,
      deadlineMs: Math.max(0, (this.#model.leases.get(id)?.deadlineMs ?? 5000) + off),
    }))
    return { kind: 'expire', leases }
  }

  #idempotency(drawn: Extract<DrawnStep, { do: 'request' }>['idempotency']): Idempotency | undefined {
    if (drawn === undefined || 'session' in drawn) return drawn
    const { token, behind } = drawn
    return {
      token,
      since: behind === undefined ? undefined : rev(Math.max(1, this.#model.revision - behind)),
    }
  }

  /** `before`: it waits since that many permits. A node permits nothing that its user may not do. */
  #permit(user: string, command: Command, before: number): Partial<Permit> {
    const { rights } = this.#model
    const permits = this.#permits.get(user) ?? []
    if (!rights.enabled) return before === 0 ? {} : (permits.at(-before) ?? {})
    const now = { authRevision: rights.revision, madeAt: rights.findMadeAt(user) }
    const isPermitted = now.madeAt > 0 && rights.lacks(user, command) === undefined
    if (isPermitted && before === 0) {
      this.#permits.set(user, [...permits, now])
      return now
    }
    const earlier = permits.filter(({ authRevision }) => authRevision < rights.revision)
    return earlier.at(-Math.max(before, 1)) ?? { ...now, authRevision: rights.revision - 1 }
  }
}
