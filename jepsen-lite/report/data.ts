// The data that the script of the page draws: the history and the checker's order, with numbers instead of names.

import type { CheckResult, Linearizability } from '../checker/index.ts'
import type { History, HistoryCall, StoreCall } from '../workload/history.ts'
import { formatOperation, formatOutcome } from './format-operation.ts'
import { type Band, buildBands, buildLanes, type LaneMark, type Span } from './nodes.ts'

/** Clients, nodes, processes and keys are indexes in the lists of their names. */
export interface PageData {
  readonly startMs: number
  readonly endMs: number
  readonly clients: readonly string[]
  readonly nodes: readonly string[]
  readonly keys: readonly string[]
  /** Calls in the order of their starts. */
  readonly calls: readonly PageCall[]
  /** Sorted by key; the points of each key in the order that explains it. */
  readonly points: readonly PagePoint[]
  /**
   * For each key that has no explanation: the first operation that fits nowhere. `call` -1: the final content of a
   * node.
   */
  readonly misfits: readonly { readonly call: number; readonly key: number; readonly timeMs: number }[]
  /** When the simulator saw that a rule inside the store was broken. */
  readonly brokenMs: readonly number[]
  readonly spans: readonly Span[]
  readonly marks: readonly LaneMark[]
  /** Processes of a simulation, in the order in which they began. */
  readonly processes: readonly string[]
  readonly processSpans: readonly Span[]
  readonly processMarks: readonly LaneMark[]
  /** The last lines that processes have written. */
  readonly output: readonly PageLine[]
  /** How many lines came before those. */
  readonly linesLeftOut: number
  readonly faults: readonly Band[]
}

export interface PageCall {
  readonly id: number
  readonly client: number
  readonly node: string
  /** -1: no single key; of the keys that begin with `prefix`, or of any keys if that is ''. */
  readonly key: number
  readonly prefix: string
  readonly writes: boolean
  readonly what: string
  readonly startMs: number
  /** null: it never ended. */
  readonly endMs: number | null
  readonly outcome: 'ok' | 'fail' | 'unknown'
  readonly answer: string
}

export interface PageLine {
  readonly process: number
  readonly timeMs: number
  readonly isError: boolean
  readonly text: string
}

export interface PagePoint {
  /** -1: the final content of a node. */
  readonly call: number
  readonly key: number
  readonly timeMs: number
  /** The state of the key from this time on. */
  readonly state: string
}

export function buildPageData(history: History, { linearizability }: CheckResult): PageData {
  const { notes } = history
  const calls = allCalls(history)
  const faultsMs = notes.filter(({ what }) => what === 'inject').map(noteTime)
  const brokenMs = notes.filter(({ what }) => what === 'violation').map(noteTime)
  const processMs = notes.filter(({ process }) => process !== undefined).map(noteTime)
  const startMs = historyStart(history, [...faultsMs, ...brokenMs, ...processMs.slice(0, 1)])
  const endMs = Math.max(historyEnd(history), startMs + 1)
  const clients = indexNames(calls.map(({ client }) => String(client)))
  const nodes = collectNodes(history)
  const processes = [...new Set(notes.flatMap(({ process }) => process ?? []))]
  const lines = collectOutput(history)
  const processLanes = buildLanes(notes, 'process', processes, endMs)
  const keys = indexNames([
    ...calls.flatMap(({ op }) => ('key' in op ? [op.key] : [])),
    ...linearizability.keys.map(({ key }) => key),
  ])
  return {
    startMs,
    endMs,
    clients: [...clients.keys()],
    nodes,
    keys: [...keys.keys()],
    calls: calls.map((call) => buildPageCall(call, clients, keys)),
    ...placeCalls(linearizability, calls, keys),
    brokenMs,
    ...buildLanes(notes, 'node', nodes, endMs),
    processes,
    processSpans: processLanes.spans,
    processMarks: processLanes.marks,
    output: lines
      .slice(-OUTPUT_MAX)
      .map(({ process, ...line }) => ({ process: processes.indexOf(process), ...line })),
    linesLeftOut: Math.max(0, lines.length - OUTPUT_MAX),
    faults: buildBands(notes, nodes, processes, endMs),
  }
}

/** All calls of a history, by their starts. */
export const allCalls = ({ calls, storeCalls }: History): (HistoryCall | StoreCall)[] =>
  storeCalls.length === 0 ? [...calls] : [...calls, ...storeCalls].sort((a, b) => a.start - b.start)

/** Limit on the lines of output in the charts. */
const OUTPUT_MAX = 20_000
/** Longer lines are cut. */
const LINE_MAX = 1_000

export interface WrittenLine {
  readonly process: string
  readonly timeMs: number
  readonly isError: boolean
  readonly text: string
}

/** All lines that processes have written, in their order. */
export const collectOutput = ({ notes }: History): WrittenLine[] =>
  notes.flatMap(({ time, what, process, stream, text }) => {
    if (what !== 'output' || process === undefined || typeof text !== 'string') return []
    const lines = text.replace(/\n$/, '').split('\n')
    return lines.map((line) => ({
      ...{ process, timeMs: time, isError: stream === 'stderr' },
      text: line.length <= LINE_MAX ? line : `${line.slice(0, LINE_MAX)}…`,
    }))
  })

type Places = ReadonlyMap<string, number>

const NATURALLY = new Intl.Collator('en', { numeric: true }).compare

/** Each name once, with its index. */
const indexNames = (names: readonly string[]): Places =>
  new Map([...new Set(names)].sort(NATURALLY).map((name, place) => [name, place]))

function collectNodes(history: History): string[] {
  const { header, notes, finals } = history
  const calls = allCalls(history)
  const seen = [...notes, ...finals, ...calls].flatMap(({ node }) => node ?? []).sort(NATURALLY)
  const named = Array.isArray(header.nodes) ? header.nodes : []
  // A node that only operations name gets no lane: it may have another name there.
  const reporting = new Set([...notes, ...finals].map(({ node }) => node))
  return [...new Set([...named, ...seen])].filter((name) => named.includes(name) || reporting.has(name))
}

function historyEnd(history: History): number {
  const { notes, finals } = history
  const calls = allCalls(history)
  const seen = [
    ...calls.map(({ startMs, endMs }) => endMs ?? startMs),
    ...[...notes, ...finals].map(noteTime),
  ]
  return seen.reduce((last, timeMs) => Math.max(last, timeMs), 0)
}

/**
 * The timeline begins with the first operation, or with what struck the nodes before it. Until then a run only starts
 * its nodes, which may take a quarter of its time.
 */
function historyStart(history: History, struckMs: readonly number[]): number {
  const { notes, finals } = history
  const calls = allCalls(history)
  const begun = [...calls.map(({ startMs }) => startMs), ...struckMs]
  const seen = begun.length > 0 ? begun : [...notes, ...finals].map(noteTime)
  return seen.length > 0 ? seen.reduce((first, timeMs) => Math.min(first, timeMs)) : 0
}

const noteTime = ({ time }: { readonly time: number }): number => time

function buildPageCall(
  { id, client, node, op, startMs, endMs, outcome }: HistoryCall | StoreCall,
  clients: Places,
  keys: Places,
): PageCall {
  return {
    id,
    client: clients.get(String(client)) ?? -1,
    node,
    key: 'key' in op ? (keys.get(op.key) ?? -1) : -1,
    prefix: op.f === 'range' ? (op.prefix ?? '') : '',
    writes: op.f !== 'get' && op.f !== 'range' && op.f !== 'lease',
    what: formatOperation(op),
    startMs,
    endMs: endMs ?? null,
    outcome: outcome.kind,
    answer: formatOutcome(outcome),
  }
}

function placeCalls(
  linearizability: Linearizability,
  calls: readonly (HistoryCall | StoreCall)[],
  keys: Places,
): Pick<PageData, 'points' | 'misfits'> {
  const places = new Map(calls.map(({ id }, place) => [id, place]))
  const findCallPlace = (id: number | undefined): number => (id === undefined ? -1 : (places.get(id) ?? -1))
  const points: PagePoint[] = []
  const misfits: PageData['misfits'][number][] = []
  for (const { key: name, points: found, failure } of linearizability.keys) {
    const key = keys.get(name) ?? -1
    for (const { call, timeMs, state } of found)
      points.push({ call: findCallPlace(call.id), key, timeMs, state })
    if (failure === undefined) continue
    misfits.push({ call: findCallPlace(failure.blocked.id), key, timeMs: failure.blocked.startMs })
  }
  return { points, misfits: misfits.sort((a, b) => a.timeMs - b.timeMs) }
}
