// Reads a schedule from its file. Files are edited by hand, so an error names the place and what was expected there.

import { type Fields, isObject } from '../../../src/operations/forms/decode.ts'
import { CLUSTER_VERSION } from '../../../src/operations/forms/settings.ts'
import { timingFault } from '../../../src/raft/timing.ts'
import { FAULT_KINDS, FAULT_SHAPES, type SimFaultKind } from '../faults/fault-kinds.ts'
import { TRIGGERS } from '../faults/trigger-wait.ts'
import { LIMIT_NAMES, smallestLimits, usualLimits } from '../world/node-limits.ts'
import { WRONG_RULE_NAMES } from '../wrong-rules.ts'
import type { SimConfig } from './config.ts'
import { ALL_OPS, CLIENT_FAULTS, RECIPES, SCHEDULE_VERSION, type Schedule } from './schedule.ts'
import { type FieldShapes, mismatch, type Spec } from './shape.ts'

const NATURAL = { is: 'natural', min: 0, max: 1_000_000_000 } as const satisfies Spec
const SEED: Spec = { is: 'number', min: Number.MIN_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER }
const TARGET: Spec = { is: 'target' }
const RULE: Spec = { is: 'one of', values: WRONG_RULE_NAMES }

interface Expected {
  readonly required: { readonly [name: string]: Spec }
  readonly optional: { readonly [name: string]: Spec }
}

/** Fields of operations and faults. */
const WAITING = {
  when: { is: 'one of', values: TRIGGERS },
  after: NATURAL,
  times: { is: 'natural', min: 1, max: 1_000_000_000 },
} as const

const OP: Expected = {
  required: {
    at: NATURAL,
    kind: { is: 'one of', values: ALL_OPS },
    client: NATURAL,
    node: TARGET,
    key: NATURAL,
    x: NATURAL,
  },
  optional: WAITING,
}

const RECIPE: Expected = {
  required: {
    name: { is: 'one of', values: RECIPES },
    processes: { is: 'natural', min: 1, max: 20 },
  },
  optional: {},
}

const CLIENT_FAULT: Expected = {
  required: {
    at: NATURAL,
    kind: { is: 'one of', values: CLIENT_FAULTS },
    client: NATURAL,
    node: TARGET,
    ms: NATURAL,
  },
  optional: WAITING,
}

const OPTIONAL = {
  usualLimitsFrom: NATURAL,
  clusterVersion: { is: 'natural', min: 1, max: CLUSTER_VERSION },
  olderFrom: NATURAL,
  shortDisks: { is: 'natural', min: 0, max: 1 },
} as const satisfies { readonly [Name in keyof SimConfig]?: Spec }

// Outside of these ranges a run takes all memory or no end, or breaks a rule because no cluster can work so.
const DELAY: Spec = { is: 'number', min: 0, max: 10_000 }
const PERIOD: Spec = { is: 'number', min: 50, max: 20_000 }
const PER_MILLE: Spec = { is: 'number', min: 0, max: 1000 }
const UP_TO_1: Spec = { is: 'natural', min: 0, max: 1 }
const COUNT: Spec = { is: 'natural', min: 1, max: 1000 }

const CONFIG: { readonly [Name in Exclude<keyof SimConfig, 'limits' | keyof typeof OPTIONAL>]: Spec } = {
  nodes: { is: 'natural', min: 1, max: 7 },
  spares: { is: 'natural', min: 0, max: 2 },
  grow: UP_TO_1,
  ms: { is: 'number', min: 0, max: 3_600_000 },
  heartbeatMs: PERIOD,
  electionMinMs: PERIOD,
  electionMaxMs: PERIOD,
  commitDelayMs: DELAY,
  delayMs: DELAY,
  jitterMs: DELAY,
  tail: NATURAL,
  harsh: UP_TO_1,
  lost: PER_MILLE,
  doubled: PER_MILLE,
  reordered: UP_TO_1,
  silenceMs: { is: 'number', min: 0, max: 60_000 },
  writeMs: DELAY,
  writeJitterMs: DELAY,
  readMs: DELAY,
  clocks: { is: 'natural', min: 0, max: 4 },
  leases: UP_TO_1,
  leaseMs: { is: 'natural', min: 1, max: 60_000 },
  restartMs: { is: 'number', min: 1, max: 60_000 },
  keys: COUNT,
  clients: COUNT,
  timeoutMs: { is: 'number', min: 10, max: 60_000 },
}

const LIMITS: Expected = {
  required: {},
  optional: Object.fromEntries(
    LIMIT_NAMES.map((name) => [name, { is: 'natural', min: smallestLimits[name], max: NATURAL.max }]),
  ),
}

/** A schedule, or a file of `jepsen-lite sim` with one in it. Throws `RangeError` for anything else, with its place. */
export function parseSchedule(text: string): Schedule {
  const value = parsed(text)
  const inner = isObject(value) && isObject(value.schedule) ? value.schedule : value
  if (isObject(inner) && (typeof inner.schedule === 'string' || 'failure' in inner))
    throw new RangeError(
      'a schedule of quorate simulate needs the code of its service, so only quorate simulate runs it',
    )
  const { version, seed, rule, config, ops, faults, recipe } = fields(inner, 'the schedule')
  if (version !== SCHEDULE_VERSION)
    throw new RangeError(
      `version: expected ${SCHEDULE_VERSION}, found ${JSON.stringify(version)}; search for the schedule again`,
    )
  expects(seed, SEED, 'seed')
  if (rule !== undefined) expects(rule, RULE, 'rule')
  const { limits = {}, ...numbers } = fields(config, 'config')
  conforms(numbers, { required: CONFIG, optional: OPTIONAL }, 'config')
  conforms(fields(limits, 'config.limits'), LIMITS, 'config.limits')
  for (const [at, op] of list(ops, 'ops').entries()) conforms(op, OP, `ops[${at}]`)
  for (const [at, fault] of list(faults, 'faults').entries()) checkFault(fault, `faults[${at}]`)
  if (recipe !== undefined) checkRecipe(fields(recipe, 'recipe'))
  const schedule = inner as Schedule
  const fault = timingFault(schedule.config)
  if (fault !== undefined) throw new RangeError(`config: ${fault}`)
  return {
    ...schedule,
    config: { ...schedule.config, limits: { ...usualLimits, ...schedule.config.limits } },
  }
}

function checkRecipe(recipe: Fields): void {
  const { faults, ...others } = recipe
  conforms(others, RECIPE, 'recipe')
  for (const [at, fault] of list(faults, 'recipe.faults').entries())
    conforms(fault, CLIENT_FAULT, `recipe.faults[${at}]`)
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new RangeError(`no JSON: ${error instanceof Error ? error.message : String(error)}`)
  }
}

function fields(value: unknown, where: string): Fields {
  if (isObject(value)) return value
  throw new RangeError(`${where}: expected an object, found ${JSON.stringify(value)}`)
}

function list(value: unknown, where: string): Fields[] {
  if (!Array.isArray(value)) throw new RangeError(`${where}: expected a list, found ${JSON.stringify(value)}`)
  return value.map((one, at) => fields(one, `${where}[${at}]`))
}

function expects(value: unknown, spec: Spec, where: string): void {
  const problem = mismatch(value, spec)
  if (problem !== undefined) throw new RangeError(`${where}: ${problem}`)
}

function conforms(value: Fields, { required, optional }: Expected, where: string): void {
  for (const name of Object.keys(value))
    if (!(name in required) && !(name in optional))
      throw new RangeError(
        `${where}.${name}: there is no such field; ${[...Object.keys(required), ...Object.keys(optional)].join(', ')} are known`,
      )
  for (const [name, spec] of Object.entries(required)) expects(value[name], spec, `${where}.${name}`)
  for (const [name, spec] of Object.entries(optional))
    if (value[name] !== undefined) expects(value[name], spec, `${where}.${name}`)
}

function checkFault(fault: Fields, where: string): void {
  const { kind } = fault
  const known = FAULT_KINDS.find((one) => one === kind)
  if (known === undefined) expects(kind, { is: 'one of', values: FAULT_KINDS }, `${where}.kind`)
  else conforms(fault, expectedFault(known), where)
}

/** The fields of an operation or a valid fault. */
export const expectedFields = (list: 'ops' | 'faults', { kind }: { readonly kind?: string }): Expected =>
  list === 'ops' ? OP : expectedFault(kind as SimFaultKind)

function expectedFault(kind: SimFaultKind): Expected {
  const shape: FieldShapes = FAULT_SHAPES[kind]
  const required: { [name: string]: Spec } = { at: NATURAL, kind: { is: 'one of', values: [kind] } }
  const optional: { [name: string]: Spec } = { ...WAITING }
  for (const [name, field] of Object.entries(shape))
    if ('optional' in field) optional[name] = field.spec
    else required[name] = field.spec
  return { required, optional }
}
