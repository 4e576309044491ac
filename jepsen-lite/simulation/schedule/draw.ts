// Draws a schedule. Times are often round, because bugs hide where two things happen at the same time: half of them are
// multiples of 10 ms, as the timers of most services are. Some faults begin while another one is in force. If processes
// are named, half of the faults strike nothing else: the bugs of a service are found so.

import { nodeNames } from '../../../src/local/directory/plan.ts'
import type { Random } from '../../workload/random.ts'
import { isNode, LEADING_NODE, rulesOf } from './fault.ts'
import { type DrawRange, drawRange } from './options.ts'
import { SimulatedSchedule } from './schedule.ts'
import type { SimulatedFault, SimulatedFaultKind, SimulatedFaultsOptions } from './types.ts'

const GRID_MS = 10
/** The longest that a message or a write of a drawn schedule takes in addition. */
const DELAY_MAX_MS = 1_000
/** The largest deviation of a clock's rate, in percent. Nodes bear less than processes. */
const NODE_SKEW_PERCENT = 5
const PROCESS_SKEW_PERCENT = 10

/** The same schedule for the same state of `random`. It has at least one fault. */
export function drawSchedule(random: Random, options: SimulatedFaultsOptions = {}): SimulatedSchedule {
  const range = drawRange('drawSchedule', options)
  const faults: SimulatedFault[] = []
  const count = random.int(1, range.steps + 1)
  while (faults.length < count) faults.push(drawFault(random, range, faults.at(-1)))
  return new SimulatedSchedule(faults)
}

function drawFault(random: Random, range: DrawRange, before: SimulatedFault | undefined): SimulatedFault {
  const ofProcesses = range.kinds.filter((kind) => rulesOf(kind).strikesProcesses)
  const strikesProcesses = range.processes.length > 0 && ofProcesses.length > 0 && random.chance(0.5)
  const fault = random.pick(strikesProcesses ? ofProcesses : range.kinds)
  const at =
    before !== undefined && random.chance(0.3)
      ? drawMs(random, before.at, Math.min(before.at + before.for, range.ms))
      : drawMs(random, 0, range.ms)
  const on = strikesProcesses
    ? drawSome(random, range.processes, range.processes.length)
    : drawTargets(random, range, fault)
  const duration = drawDuration(random, range.durationMaxMs)
  const by = drawAmount(random, fault, on)
  return { at, fault, on, for: duration, ...(by !== undefined && { by }) }
}

/** From `min` up to and including `max`. */
function drawMs(random: Random, min: number, max: number): number {
  const first = Math.ceil(min / GRID_MS)
  const last = Math.floor(max / GRID_MS)
  return random.chance(0.5) && first <= last
    ? random.int(first, last + 1) * GRID_MS
    : random.int(min, max + 1)
}

/** Most bugs need a short time or a long one, so half of the durations are short. */
function drawDuration(random: Random, max: number): number {
  return random.chance(0.5) ? drawMs(random, 1, max) : drawMs(random, 1, random.ms(1, max))
}

/** Mostly one name. Nodes and processes together in some faults of those kinds that take both. */
function drawTargets(random: Random, { nodes, processes }: DrawRange, kind: SimulatedFaultKind): string[] {
  const { strikesProcesses } = rulesOf(kind)
  const which =
    strikesProcesses && processes.length > 0 ? random.pick(['nodes', 'processes', 'both']) : 'nodes'
  const struckNodes =
    which === 'processes' ? [] : drawSome(random, [LEADING_NODE, ...nodeNames(nodes)], nodesMax(kind, nodes))
  const struckProcesses = which === 'nodes' ? [] : drawSome(random, processes, processes.length)
  return [...struckNodes, ...struckProcesses]
}

/** In the order in which `names` has them. */
function drawSome(random: Random, names: readonly string[], max: number): string[] {
  const count = random.chance(0.5) ? 1 : random.int(1, max + 1)
  const some = random.shuffled(names).slice(0, count)
  return names.filter((name) => some.includes(name))
}

/** A cluster without a majority does nothing, and a partition without another side cuts nothing. */
function nodesMax(kind: SimulatedFaultKind, nodes: number): number {
  if (rulesOf(kind).downsNodes) return Math.max(1, Math.floor((nodes - 1) / 2))
  return kind === 'partition' || kind === 'one-way' ? Math.max(1, nodes - 1) : nodes
}

function drawAmount(random: Random, kind: SimulatedFaultKind, on: readonly string[]): number | undefined {
  switch (rulesOf(kind).by) {
    case 'ms':
      return drawDuration(random, DELAY_MAX_MS)
    case 'rate': {
      const percent = random.int(1, (on.some(isNode) ? NODE_SKEW_PERCENT : PROCESS_SKEW_PERCENT) + 1)
      return (100 + random.pick([percent, -percent])) / 100
    }
    default:
      return undefined
  }
}
