// Clients that use a lock: the key `LOCK_KEY`, which belongs to a lease of its holder. The holder keeps the lease
// alive while it runs. The revision at which the key was created is the fencing token. The lock protects `LOCKED_KEY`,
// which a client writes with its token or without. A person chooses these operations in the lab. No schedule is drawn
// with them.

import type { Command, Outcome } from '../../../src/kv/index.ts'
import type { LeaseId } from '../../../src/operations/forms/index.ts'
import type { Driver } from '../../../src/server/node/driver.ts'
import { bytes } from '../oracle/model-row.ts'
import type { LockOp, ScheduledOp } from '../schedule/schedule.ts'
import type { LockEvent } from '../sim-event.ts'
import type { Machine, Process } from '../world/process.ts'
import { IO } from '../world/time.ts'
import type { SimWorld } from '../world/world.ts'
import type { Clients, Lane } from './clients.ts'
import type { StoreClients } from './store-clients.ts'

// No history has keys before LISTED_FROM.
export const LOCK_KEY = 'job/lock'
export const LOCKED_KEY = 'job/result'
const TTL_MS_MIN = 1000
/** A holder keeps its lease alive this many times in its time to live. */
const KEEP_ALIVES = 3

/** A request of such a client, which no history has. */
export interface LockRequest {
  readonly client: string
  readonly node: string
  readonly text: string
  readonly from: number
  readonly until: number | undefined
  readonly outcome: 'waits' | 'ok' | 'failed' | 'unknown'
  readonly answer: string
}

/** The time in which the process of a client stands still. */
export interface Standstill {
  readonly client: string
  readonly from: number
  readonly until: number
}

type LockOperation = Omit<ScheduledOp, 'kind'> & { readonly kind: LockOp }

interface Held {
  readonly lease: LeaseId
  readonly ttlMs: number
}

interface LockClient {
  readonly lane: Lane
  readonly keepAliveLane: Lane
  /** The lock as the client knows it. The lease may have ended meanwhile. */
  held: Held | undefined
  /** The last one that it was given. */
  token: number | undefined
  sent: number
  standsUntil: number
  /** Requests that it makes next, one after the other. */
  readonly due: (() => void)[]
  /** Request that is due when it continues: the lease is kept alive. */
  keepsAlive: (() => void) | undefined
}

export class LockClients {
  readonly #world: SimWorld
  readonly #clients: Clients
  readonly #store: StoreClients
  readonly #all: LockClient[]
  readonly requests: LockRequest[] = []
  readonly standstills: Standstill[] = []

  constructor(world: SimWorld, clients: Clients, store: StoreClients, count: number) {
    this.#world = world
    this.#clients = clients
    this.#store = store
    this.#all = Array.from({ length: count }, (_, at) => ({
      lane: { name: `c${at + 1}`, busy: false },
      keepAliveLane: { name: `c${at + 1}`, busy: false },
      ...{ held: undefined, token: undefined, sent: 0, standsUntil: 0, due: [], keepsAlive: undefined },
    }))
  }

  /** Returns whether the client does it, now or when it continues. */
  run(op: LockOperation, machine: Machine | undefined): boolean {
    const client = this.#all[op.client % this.#all.length]
    if (client === undefined || machine === undefined) return false
    if (op.kind === 'stand-still') this.#standStill(client, op.x)
    else {
      const { standsUntil: until } = client
      if (this.#world.time.now < until) this.#say(client, { what: 'puts off', request: op.kind, until })
      client.due.push(() => this.#request(client, op, machine))
      this.#continue(client)
    }
    return true
  }

  /** The processes of all clients end. Nobody keeps their leases alive any more. */
  end(): void {
    for (const client of this.#all) {
      client.held = undefined
      client.due.length = 0
      client.standsUntil = Number.POSITIVE_INFINITY
    }
  }

  #continue(client: LockClient): void {
    const { due, lane } = client
    while (this.#world.time.now >= client.standsUntil && !lane.busy && due.length > 0) due.shift()?.()
  }

  /** The process of the client stands still. It does not notice. */
  #standStill(client: LockClient, ms: number): void {
    const { time } = this.#world
    const until = Math.max(client.standsUntil, time.now + ms)
    this.standstills.push({ client: client.lane.name, from: time.now, until })
    this.#say(client, { what: 'stands still', ms })
    // It stands still already, and for as long.
    if (until === client.standsUntil) return
    client.standsUntil = until
    time.push(until, IO, undefined, () => {
      if (time.now < client.standsUntil) return
      this.#say(client, { what: 'continues' })
      this.#continue(client)
      const { keepsAlive } = client
      client.keepsAlive = undefined
      keepsAlive?.()
    })
  }

  #request(client: LockClient, op: LockOperation, { name, process }: Machine): void {
    const driver = process?.driver
    const { held, token } = client
    const doNothing = (why: string): void => this.#say(client, { what: 'does nothing', why })
    if (process === undefined || driver === undefined) doNothing(`${name} does not run`)
    else if (op.kind === 'write') this.#write(client, process, driver)
    else if (op.kind === 'lock') {
      if (held === undefined) this.#acquire(client, process, driver)
      else doNothing('it believes that it holds the lock')
    } else if (op.kind === 'release') {
      if (held === undefined) doNothing('it holds no lock')
      else this.#release(client, process, driver, held)
    } else if (token === undefined) doNothing('it has no token')
    else this.#write(client, process, driver, token)
  }

  #say({ lane }: LockClient, event: LockEvent): void {
    this.#world.say(undefined, { kind: 'lock', client: lane.name, ...event })
  }

  // ---- requests

  #acquire(client: LockClient, process: Process, driver: Driver): void {
    const requester = { lane: client.lane, process, driver }
    const end = this.#begin(client, process, 'take the lock')
    const ttlMs = Math.max(Math.ceil(driver.leaseTtlMsMin), TTL_MS_MIN)
    this.#store.grant(requester, { id: undefined, ttlMs, user: `${client.lane.name}.lease` }, (lease) => {
      if (lease === undefined) return end('unknown', 'no answer')
      const { serving } = process
      if (serving === undefined) return end('unknown', 'no answer')
      const condition = { ifMatch: undefined, ifNoneMatch: 'any' as const }
      const value = bytes(client.lane.name)
      const put = {
        kind: 'put',
        key: bytes(LOCK_KEY),
        value,
        condition,
        prev: false,
        lease: { id: lease },
      } as const
      this.#propose(client, { ...requester, driver: serving }, put, (outcome) => {
        if (outcome?.kind === 'put') {
          const token = outcome.modRevision
          client.token = token
          client.held = { lease, ttlMs }
          end('ok', `token ${token}`)
          this.#keepAliveLater(client, client.held, process.machine)
        } else if (outcome?.kind === 'precondition-failed') end('failed', 'another client holds it')
        else end(...undone(outcome))
      })
    })
  }

  #release(client: LockClient, process: Process, driver: Driver, { lease }: Held): void {
    client.held = undefined
    const end = this.#begin(client, process, 'release the lock')
    this.#propose(client, { lane: client.lane, process, driver }, { kind: 'revoke', id: lease }, (outcome) =>
      outcome?.kind === 'revoked' ? end('ok', 'released') : end(...undone(outcome)),
    )
  }

  /** With a token the store compares it, in the same transaction. */
  #write(client: LockClient, process: Process, driver: Driver, token?: number): void {
    const value = `${client.lane.name}.${client.sent++}`
    const end = this.#begin(
      client,
      process,
      `write ${value}${token === undefined ? '' : ` with token ${token}`}`,
    )
    const put = { kind: 'put', key: bytes(LOCKED_KEY), value: bytes(value), prev: false } as const
    const command: Command =
      token === undefined
        ? { ...put, condition: undefined }
        : {
            kind: 'txn',
            txn: {
              compare: [{ where: { key: bytes(LOCK_KEY) }, op: '=', target: 'create_revision', to: token }],
              success: [{ ...put, lease: undefined }],
              failure: [],
            },
          }
    this.#propose(client, { lane: client.lane, process, driver }, command, (outcome) => {
      if (outcome?.kind === 'txn' && !outcome.succeeded)
        end('failed', `the lock no longer has token ${token}`)
      else if (outcome?.kind === 'txn' || outcome?.kind === 'put') end('ok', 'written')
      else end(...undone(outcome))
    })
  }

  #propose(
    { lane }: LockClient,
    requester: Parameters<Clients['propose']>[0],
    command: Command,
    done: (outcome?: Outcome) => void,
  ): void {
    const principal = `${lane.name}.lock${this.requests.length}`
    this.#clients.propose(requester, { command, idempotency: undefined, principal }, done)
  }

  /** Returns a function that ends the request. */
  #begin(
    client: LockClient,
    process: Process,
    text: string,
  ): (outcome: LockRequest['outcome'], answer: string) => void {
    const { time } = this.#world
    const { name } = client.lane
    const at = this.requests.length
    const begun = { client: name, node: process.name, text, from: time.now } as const
    this.requests.push({ ...begun, until: undefined, outcome: 'waits', answer: '' })
    this.#world.say(process, { kind: 'lock', client: name, what: 'asks', request: text })
    return (outcome, answer) => {
      this.requests[at] = { ...begun, until: time.now, outcome, answer }
      time.push(time.now, IO, undefined, () => this.#continue(client))
      this.#world.say(process, {
        kind: 'lock',
        client: name,
        what: 'answered',
        request: text,
        outcome,
        answer,
      })
    }
  }

  // ---- the lease

  #keepAliveLater(client: LockClient, held: Held, machine: Machine): void {
    const { time } = this.#world
    time.push(time.now + held.ttlMs / KEEP_ALIVES, IO, undefined, () => {
      const act = (): void => this.#keepAlive(client, held, machine)
      if (time.now < client.standsUntil) client.keepsAlive = act
      else act()
    })
  }

  #keepAlive(client: LockClient, held: Held, machine: Machine): void {
    if (client.held !== held) return
    this.#keepAliveLater(client, held, machine)
    const { machines } = this.#world
    const node = [machine, ...machines].find(({ process }) => process?.serving !== undefined)
    const driver = node?.process?.serving
    if (node?.process === undefined || driver === undefined || client.keepAliveLane.busy) return
    const requester = { lane: client.keepAliveLane, process: node.process, driver }
    this.#store.keepAlive(requester, [held.lease], ([ttlMs]) => {
      if (ttlMs !== undefined || client.held !== held) return
      client.held = undefined
      this.#say(client, { what: 'has lost it' })
    })
  }
}

/** The end of a request that the store has refused, or that had no answer. */
const undone = (outcome: Outcome | undefined): ['failed' | 'unknown', string] =>
  outcome?.kind === 'refused' ? ['failed', outcome.code.replaceAll('_', ' ')] : ['unknown', 'no answer']
