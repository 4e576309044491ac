// Coverage of a search: how often each event met a node in each state, and how often two faults struck at one
// trigger. The generator then tries what is rare (`rarest`).

import { isJoint, isVoter, type Message } from '../../src/raft/index.ts'
import { DRAWN_FAULTS, type SimFaultKind } from './faults/fault-kinds.ts'
import { TRIGGERS, type Trigger } from './faults/trigger-wait.ts'
import { OP_KINDS, type OpKind, type RightsOp } from './schedule/schedule.ts'
import { MESSAGE_TYPES } from './world/message-types.ts'
import type { Machine } from './world/process.ts'

/** States of a node, and the triggers at which it enters each. */
const ENTERED: { readonly [state: string]: readonly Trigger[] } = {
  down: ['died'],
  opening: ['opening'],
  stopped: ['stopped'],
  learner: ['started'],
  'gets a snapshot': ['offered', 'staged'],
  joint: ['joint'],
  'applies late': ['applied-late'],
  'no leader': ['leaderless'],
  follower: ['connected', 'disconnected', 'voted', 'ahead', 'installed', 'answered', 'forwarded', 'left'],
  'pre-candidate': ['pre-candidate'],
  candidate: ['candidate'],
  'new leader': ['elected'],
  leader: ['committed', 'read-asked', 'left', 'let-go'],
  'joint leader': ['joint', 'reconfigured'],
  'sends a snapshot': ['sends-snapshot'],
  'hands over': ['hands-over'],
  superseded: ['superseded'],
}
export const STATES = Object.keys(ENTERED)
const NUMBERS = new Map(STATES.map((state, number) => [state, number]))

/** Triggers, faults that strike, requests of clients, and messages that arrive. */
export const EVENTS = [
  ...TRIGGERS.map((trigger) => `when ${trigger}`),
  ...DRAWN_FAULTS.map((kind) => `fault ${kind}`),
  ...OP_KINDS.map((kind) => `requested ${kind}`),
  ...MESSAGE_TYPES.map((type) => `hears ${type}`),
]
const EVENT_NUMBERS = new Map(EVENTS.map((event, number) => [event, number]))
const numbersOf = (verb: string, names: readonly string[]): ReadonlyMap<string, number> =>
  new Map(names.map((name) => [name, EVENT_NUMBERS.get(`${verb} ${name}`) ?? 0]))
const TRIGGER_NUMBERS = numbersOf('when', TRIGGERS)
const MESSAGE_NUMBERS = numbersOf('hears', MESSAGE_TYPES)

/** Rare combinations for the generator: faults and requests at triggers, and pairs of faults at one trigger. */
export interface Rare {
  readonly events: readonly (readonly [Trigger, 'fault', SimFaultKind] | readonly [Trigger, 'op', OpKind])[]
  readonly pairs: readonly (readonly [SimFaultKind, SimFaultKind])[]
}
export const NOTHING_RARE: Rare = { events: [], pairs: [] }

export interface CoverageCounts {
  readonly cells: Uint32Array
  readonly pairs: Uint32Array
}

export class StateCoverage {
  readonly #cells = new Uint32Array(STATES.length * EVENTS.length)
  readonly #pairs = new Uint32Array(DRAWN_FAULTS.length ** 2)

  messageReceived(machine: Machine, type: Message['type']): void {
    const event = MESSAGE_NUMBERS.get(type)
    if (event !== undefined) this.#count(event, machine)
  }

  met(trigger: Trigger, machine: Machine): void {
    this.#count(TRIGGER_NUMBERS.get(trigger) ?? 0, machine)
  }

  /** `before`: faults that struck earlier at the same trigger. */
  recordFault(kind: SimFaultKind, machines: readonly Machine[], before: readonly SimFaultKind[]): void {
    const event = EVENT_NUMBERS.get(`fault ${kind}`)
    if (event === undefined) return
    for (const machine of machines) this.#count(event, machine)
    for (const other of before.filter((one) => DRAWN_FAULTS.includes(one))) {
      const pair = pairNumber(kind, other)
      this.#pairs[pair] = (this.#pairs[pair] ?? 0) + 1
    }
  }

  operationRequested(kind: OpKind | RightsOp, machine: Machine): void {
    const event = EVENT_NUMBERS.get(`requested ${kind}`)
    if (event !== undefined) this.#count(event, machine)
  }

  #count(event: number, machine: Machine): void {
    const cell = event * STATES.length + (NUMBERS.get(machineState(machine)) ?? 0)
    this.#cells[cell] = (this.#cells[cell] ?? 0) + 1
  }

  /** All counts, in a form that another thread can receive. */
  get counts(): CoverageCounts {
    return { cells: this.#cells, pairs: this.#pairs }
  }

  add({ cells, pairs }: CoverageCounts): void {
    for (const [cell, count] of cells.entries()) this.#cells[cell] = (this.#cells[cell] ?? 0) + count
    for (const [pair, count] of pairs.entries()) this.#pairs[pair] = (this.#pairs[pair] ?? 0) + count
  }

  times(event: string, state: string): number {
    const number = EVENT_NUMBERS.get(event)
    // A fault that a person chooses is not counted.
    if (number === undefined) return 0
    return this.#cells[number * STATES.length + (NUMBERS.get(state) ?? 0)] ?? 0
  }

  /** Pairs of faults that struck at one trigger, each pair once. */
  pairs(): { readonly pair: readonly [SimFaultKind, SimFaultKind]; readonly times: number }[] {
    return DRAWN_FAULTS.flatMap((one, at) =>
      DRAWN_FAULTS.slice(at).map((other) => ({
        pair: [one, other] as const,
        times: this.#pairs[pairNumber(one, other)] ?? 0,
      })),
    )
  }

  /** Returns the rarest combinations. Among equals, `turn` decides. */
  rarest(turn: number): Rare {
    const events = STATES.flatMap((state) => {
      const triggers = ENTERED[state] ?? []
      const trigger = triggers[turn % Math.max(1, triggers.length)]
      if (trigger === undefined) return []
      return [
        ...DRAWN_FAULTS.map((kind) => ({
          times: this.times(`fault ${kind}`, state),
          rare: [trigger, 'fault', kind] as const,
        })),
        ...OP_KINDS.map((kind) => ({
          times: this.times(`requested ${kind}`, state),
          rare: [trigger, 'op', kind] as const,
        })),
      ]
    })
    return {
      events: least(events, EVENTS_TRIED, turn).map(({ rare }) => rare),
      pairs: least(this.pairs(), PAIRS_TRIED, turn).map(({ pair }) => pair),
    }
  }
}

/** A schedule has room for this many of them. */
const EVENTS_TRIED = 60
const PAIRS_TRIED = 40

function least<T extends { readonly times: number }>(list: readonly T[], count: number, turn: number): T[] {
  const from = (turn * count) % Math.max(1, list.length)
  // The sort is stable, so that the order of `turn` remains among equals.
  return [...list.slice(from), ...list.slice(0, from)].sort((a, b) => a.times - b.times).slice(0, count)
}

function pairNumber(one: SimFaultKind, other: SimFaultKind): number {
  const [low = 0, high = 0] = [DRAWN_FAULTS.indexOf(one), DRAWN_FAULTS.indexOf(other)].sort((a, b) => a - b)
  return low * DRAWN_FAULTS.length + high
}

/** The most specific state of a node now. It must be cheap, because it is computed for every message. */
function machineState(machine: Machine): string {
  const { process } = machine
  if (process === undefined) return 'down'
  if (process.driver === undefined) return 'opening'
  if (process.paused) return 'stopped'
  const { configuration, role } = process
  const joint = configuration !== undefined && isJoint(configuration)
  if (role === 'leader') {
    if (process.isSuperseded) return 'superseded'
    if (process.handsOver) return 'hands over'
    if (!process.hasCommitted) return 'new leader'
    if (process.snapshotsSent > 0) return 'sends a snapshot'
    return joint ? 'joint leader' : 'leader'
  }
  if (role !== 'follower') return role
  if (process.isStaging) return 'gets a snapshot'
  if (machine.isApplyingSlowly) return 'applies late'
  if (joint) return 'joint'
  if (configuration !== undefined && !isVoter(configuration, process.id)) return 'learner'
  return process.leader === undefined ? 'no leader' : 'follower'
}
