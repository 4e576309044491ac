// Fields of a line of a history, with their possible values. An unknown field is refused too:
// it may be a misspelt one, and then the checker would ignore what it says. Headers and notes may have other fields.

type Check = readonly [what: string, holds: (value: unknown) => boolean]

interface FieldChecks {
  readonly required?: Readonly<Record<string, Check>>
  readonly optional?: Readonly<Record<string, Check>>
  /** Whether the object may have other fields, which are not checked. */
  readonly open?: true
}

type Fields = Readonly<Record<string, unknown>>

const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const isString = (value: unknown): value is string => typeof value === 'string'
const isWhole = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0

const TEXT: Check = ['a text', isString]
const TEXT_OR_NULL: Check = ['a text or null', (value) => value === null || isString(value)]
const NAME: Check = ['a text or a number', (value) => isString(value) || Number.isFinite(value)]
const TIME: Check = ['a number of milliseconds', Number.isFinite]
const MS: Check = [
  'a number of milliseconds, 0 or more',
  (value) => Number.isFinite(value) && Number(value) >= 0,
]
const WHOLE: Check = ['a whole number, 0 or more', isWhole]
const COUNT: Check = ['a whole number, 1 or more', (value) => isWhole(value) && value >= 1]
const WHOLE_OR_NULL: Check = ['a whole number or null', (value) => value === null || isWhole(value)]
const BOOLEAN: Check = ['true or false', (value) => typeof value === 'boolean']
const TRUE: Check = ['true', (value) => value === true]
const textsShape = (...texts: readonly string[]): Check => [
  texts.map((text) => JSON.stringify(text)).join(' or '),
  (value) => isString(value) && texts.includes(value),
]

const DRIFT: Check = [
  'a fraction, from 0 to less than 1',
  (value) => Number.isFinite(value) && Number(value) >= 0 && Number(value) < 1,
]
const NAMES: Check = ['a list of texts', (value) => Array.isArray(value) && value.every(isString)]
const CONSISTENCY = textsShape('linearizable', 'lease', 'stale')

const HEADER: FieldChecks = {
  required: { version: ['1', (value) => value === 1], workload: TEXT, command: TEXT },
  optional: {
    model: TEXT,
    initial: TEXT_OR_NULL,
    clockDriftMax: DRIFT,
    complete: BOOLEAN,
    forgetsTokens: BOOLEAN,
    log: TEXT,
    seed: WHOLE,
    nodes: NAMES,
  },
  open: true,
}

const READ = { consistency: CONSISTENCY, maxStalenessMs: MS, minRevision: WHOLE }
const ONCE = { idempotency: TEXT }
const CONDITIONS = { ifRevision: WHOLE, ifAbsent: TRUE }

const OPERATIONS: Readonly<Record<string, FieldChecks>> = {
  get: { required: { key: TEXT }, optional: { ...READ, at: WHOLE } },
  put: {
    required: { key: TEXT, value: TEXT },
    optional: { ...CONDITIONS, ...ONCE, lease: TEXT, ttlMs: MS },
  },
  del: { required: { key: TEXT }, optional: { ...CONDITIONS, ...ONCE } },
  cas: { required: { key: TEXT, from: TEXT_OR_NULL, to: TEXT }, optional: ONCE },
  append: { required: { key: TEXT, value: TEXT }, optional: ONCE },
  range: {
    optional: {
      prefix: TEXT,
      start: TEXT,
      end: TEXT,
      after: TEXT,
      limit: COUNT,
      order: textsShape('asc', 'desc'),
      keysOnly: TRUE,
      count: TRUE,
      countOnly: TRUE,
      stream: TRUE,
      ...READ,
    },
  },
  acquire: { required: { key: TEXT, owner: TEXT }, optional: ONCE },
  release: { required: { key: TEXT, owner: TEXT, token: WHOLE }, optional: ONCE },
  'del-range': { optional: { prefix: TEXT, start: TEXT, end: TEXT } },
  compact: { required: { revision: WHOLE } },
  grant: { required: { ttlMs: MS } },
  'keep-alive': { required: { lease: TEXT } },
  revoke: { required: { lease: TEXT } },
  lease: { required: { lease: TEXT } },
  lock: { required: { name: TEXT } },
  unlock: { required: { name: TEXT, token: WHOLE } },
  'guarded-put': { required: { name: TEXT, token: WHOLE, key: TEXT, value: TEXT } },
  push: { required: { queue: TEXT, value: TEXT, priority: WHOLE } },
  pop: { required: { queue: TEXT } },
  ack: { required: { queue: TEXT, item: TEXT, token: WHOLE } },
  nack: { required: { queue: TEXT, item: TEXT, token: WHOLE } },
}

const OPERATION: Check = ['an operation', (op) => findFault(op, findOperationShape(op)) === undefined]
const findOperationShape = (op: unknown): FieldChecks | undefined =>
  isFields(op) && isString(op.f) && Object.hasOwn(OPERATIONS, op.f) ? OPERATIONS[op.f] : undefined

const rowsShape = (shape: FieldChecks): Check => [
  'a list of rows',
  (rows) => Array.isArray(rows) && rows.every((row) => findFault(row, shape) === undefined),
]
const LISTED: FieldChecks = {
  required: { key: TEXT, modRevision: WHOLE },
  optional: { value: TEXT, version: COUNT },
}
const HELD: FieldChecks = {
  required: { key: TEXT, value: TEXT, modRevision: WHOLE },
  optional: { version: COUNT },
}

const RESULT: FieldChecks = {
  optional: {
    value: TEXT_OR_NULL,
    modRevision: WHOLE,
    version: COUNT,
    revision: WHOLE,
    applied: BOOLEAN,
    current: WHOLE_OR_NULL,
    deleted: ['0 or 1', (value) => value === 0 || value === 1],
    rows: rowsShape(LISTED),
    more: BOOLEAN,
    next: TEXT,
    count: WHOLE,
    removed: WHOLE,
    lease: TEXT,
    ttlMs: MS,
    token: WHOLE,
    item: TEXT,
    attempts: COUNT,
    priority: WHOLE,
    served: CONSISTENCY,
    stalenessMs: MS,
    replayed: BOOLEAN,
    node: TEXT,
  },
}

const only = textsShape('put', 'delete')
const WATCHED: FieldChecks = {
  required: { prev: BOOLEAN, values: BOOLEAN },
  optional: { key: TEXT, start: TEXT, end: TEXT, from: WHOLE, only },
}
const TOLD_ROW: FieldChecks = {
  required: { key: TEXT, createRevision: WHOLE, modRevision: WHOLE, version: COUNT },
  optional: { value: TEXT, lease: TEXT },
}
const record: Check = ['a record', (row) => findFault(row, TOLD_ROW) === undefined]
const TOLD_EVENT: FieldChecks = {
  required: { type: only, key: TEXT },
  optional: { record, prev: ['a record or null', (row) => row === null || record[1](row)] },
}
const events: Check = [
  'a list of events',
  (list) => Array.isArray(list) && list.every((one) => findFault(one, TOLD_EVENT) === undefined),
]
const TOLD: Readonly<Record<string, FieldChecks>> = {
  created: { required: { revision: WHOLE, from: WHOLE } },
  events: { required: { revision: WHOLE, events } },
  progress: { required: { revision: WHOLE } },
  compacted: { required: { next: WHOLE, compactRevision: WHOLE, resumeFrom: WHOLE } },
  stopped: { required: { resumeFrom: WHOLE } },
  due: { required: { revision: WHOLE } },
}
const toldShape = (told: unknown): FieldChecks | undefined =>
  isFields(told) && isString(told.kind) && Object.hasOwn(TOLD, told.kind) ? TOLD[told.kind] : undefined

const EVENTS: Readonly<Record<string, FieldChecks>> = {
  history: HEADER,
  invoke: {
    required: { id: WHOLE, client: NAME, time: TIME, node: TEXT, op: OPERATION },
    optional: { transaction: WHOLE },
  },
  ok: {
    required: {
      id: WHOLE,
      time: TIME,
      result: ['an answer', (result) => findFault(result, RESULT) === undefined],
    },
  },
  fail: { required: { id: WHOLE, time: TIME, why: TEXT } },
  unknown: { required: { id: WHOLE, time: TIME, why: TEXT } },
  watch: {
    required: {
      id: WHOLE,
      client: NAME,
      time: TIME,
      node: TEXT,
      asked: ['what is watched', (asked) => findFault(asked, WATCHED) === undefined],
    },
  },
  told: {
    required: {
      id: WHOLE,
      time: TIME,
      told: ['a message of a watch', (told) => findFault(told, toldShape(told)) === undefined],
    },
  },
  note: { required: { time: TIME, what: TEXT }, optional: { node: TEXT, process: TEXT }, open: true },
  final: {
    required: { time: TIME, node: TEXT, revision: WHOLE, stateHash: TEXT, rows: rowsShape(HELD) },
  },
}

/** Returns the first mistake in an event of a history, if there is one. */
export function faultOfEvent(event: unknown): string | undefined {
  if (!isFields(event) || !isString(event.type)) return 'no event of a history'
  const shape = Object.hasOwn(EVENTS, event.type) ? EVENTS[event.type] : undefined
  if (shape === undefined) return `there is no event ${JSON.stringify(event.type)}`
  if (event.type === 'invoke') {
    const fault = findFault(event.op, findOperationShape(event.op))
    if (fault !== undefined) return `op: ${fault}`
  }
  if (event.type === 'ok') {
    const fault = findFault(event.result, RESULT)
    if (fault !== undefined) return `result: ${fault}`
  }
  return findFault(event, shape)
}

/** Fields that select a shape. They are allowed where the shape does not name them. */
const TAGS = new Set(['type', 'f', 'kind'])

function findFault(value: unknown, shape: FieldChecks | undefined): string | undefined {
  if (!isFields(value)) return 'not an object'
  if (shape === undefined) return `there is no operation ${JSON.stringify(value.f)}`
  const { required = {}, optional = {}, open } = shape
  const missing = Object.keys(required).find((name) => value[name] === undefined)
  if (missing !== undefined) return `${missing} is missing`
  for (const [name, held] of Object.entries(value)) {
    const isTag = TAGS.has(name) && !Object.hasOwn(required, name)
    if (held === undefined || isTag) continue
    const check = Object.hasOwn(required, name)
      ? required[name]
      : Object.hasOwn(optional, name)
        ? optional[name]
        : undefined
    if (check === undefined) {
      if (open) continue
      return `there is no field ${name}`
    }
    const [what, holds] = check
    if (!holds(held)) return `${name} must be ${what}`
  }
  return undefined
}
