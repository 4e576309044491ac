// Derives from the notes of a history the state of each node and process over time, and the faults as intervals.

import type { NoteEvent } from '../workload/history.ts'

export interface Span {
  /** Index of the node or process. */
  readonly lane: number
  /** A role, or 'down', 'paused', 'starting'; of a process also 'running', 'blocked', 'ended'. */
  readonly state: string
  readonly term: number | null
  /** The leader that this node knows; '' if it knows none. */
  readonly leader: string
  readonly fromMs: number
  readonly toMs: number
}

export interface LaneMark {
  readonly lane: number
  readonly timeMs: number
  readonly what: 'elected' | MarkKind
  readonly text: string
}

export interface Band {
  readonly kind: string
  readonly nodes: readonly number[]
  readonly processes: readonly number[]
  readonly fromMs: number
  readonly toMs: number
  /** Evidence that it took effect; null if there is none. */
  readonly effect: string | null
  readonly details: string
}

/** States as intervals, and events as marks. */
export interface Lanes {
  readonly spans: readonly Span[]
  readonly marks: readonly LaneMark[]
}

/** The lanes of all nodes, or of all processes. `names`: in their order. */
export function buildLanes(
  notes: readonly NoteEvent[],
  kind: 'node' | 'process',
  names: readonly string[],
  endMs: number,
): Lanes {
  const lanes = names.map((_, place) => new Lane(place, kind === 'process'))
  const marks: LaneMark[] = []
  let highestTermLed = 0
  for (const note of notes) {
    const name = note[kind]
    const place = name === undefined ? -1 : names.indexOf(name)
    const lane = lanes[place]
    if (lane === undefined) continue
    const ran = lane.runs
    lane.see(note)
    if (note.what === 'role') {
      const term = numberOr(note.term, 0)
      if (note.role !== 'leader' || term <= highestTermLed) continue
      highestTermLed = term
      marks.push({ lane: place, timeMs: note.time, what: 'elected', text: `leader of term ${term}` })
    } else if (isMarked(note.what) && (note.what !== 'ended' || ran)) {
      // A killed process has the notes `kill` and `ended`, but gets one mark.
      const text = typeof note.reason === 'string' ? note.reason : ''
      marks.push({ lane: place, timeMs: note.time, what: note.what, text })
    }
  }
  for (const lane of lanes) lane.close(endMs)
  return { spans: lanes.flatMap(({ spans }) => spans), marks }
}

const MARKED = ['kill', 'start', 'pause', 'resume', 'block', 'unblock', 'wipe', 'ended'] as const
type MarkKind = (typeof MARKED)[number]
const isMarked = (what: string): what is MarkKind => MARKED.some((one) => one === what)

class Lane {
  readonly spans: Span[] = []
  readonly #place: number
  readonly #isProcess: boolean
  runs = false
  #hasEnded = false
  #paused = false
  #blocked = false
  #role: string | undefined
  #term: number | undefined
  #leader = ''
  #open:
    | {
        readonly state: string
        readonly term: number | null
        readonly leader: string
        readonly fromMs: number
      }
    | undefined

  constructor(place: number, isProcess: boolean) {
    this.#place = place
    this.#isProcess = isProcess
  }

  see(note: NoteEvent): void {
    switch (note.what) {
      case 'start':
        this.#begin()
        break
      case 'kill':
      case 'ended':
      case 'wipe':
        this.runs = false
        // A program that has ended is not down: nobody expects it to run.
        this.#hasEnded = this.#isProcess && note.what === 'ended'
        break
      case 'block':
        this.#blocked = true
        break
      case 'unblock':
        this.#blocked = false
        break
      case 'pause':
        this.#paused = true
        break
      case 'resume':
        this.#paused = false
        break
      case 'role':
        this.runs = true
        this.#role = typeof note.role === 'string' ? note.role : undefined
        this.#term = numberOr(note.term, undefined)
        this.#leader = typeof note.leader === 'string' ? note.leader : ''
        break
      default:
        return
    }
    this.#change(note.time)
  }

  close(endMs: number): void {
    const { state, term, leader, fromMs } = this.#open ?? {}
    if (state === undefined || fromMs === undefined || fromMs >= endMs) return
    this.spans.push({
      lane: this.#place,
      state,
      term: term ?? null,
      leader: leader ?? '',
      fromMs,
      toMs: endMs,
    })
    this.#open = undefined
  }

  #begin(): void {
    this.runs = true
    this.#paused = false
    this.#blocked = false
    this.#role = undefined
    this.#term = undefined
    this.#leader = ''
  }

  get #state(): string {
    if (!this.runs) return this.#hasEnded ? 'ended' : 'down'
    if (this.#paused) return 'paused'
    if (this.#blocked) return 'blocked'
    return this.#role ?? (this.#isProcess ? 'running' : 'starting')
  }

  #change(timeMs: number): void {
    const state = this.#state
    const term = this.runs ? (this.#term ?? null) : null
    const leader = this.runs ? this.#leader : ''
    const { state: was, term: before, leader: followed } = this.#open ?? {}
    if (state === was && term === before && leader === followed) return
    this.close(timeMs)
    this.#open = { state, term, leader, fromMs: timeMs }
  }
}

/** Faults as intervals; a fault that was not healed lasts to the end. */
export function buildBands(
  notes: readonly NoteEvent[],
  nodes: readonly string[],
  processes: readonly string[],
  endMs: number,
): Band[] {
  const open = new Map<unknown, NoteEvent>()
  const bands: Band[] = []
  const close = (begun: NoteEvent, toMs: number, effect: unknown): void => {
    const kind = typeof begun.fault === 'string' ? begun.fault : 'fault'
    bands.push({
      kind,
      nodes: findPlaces(begun.nodes, nodes),
      processes: findPlaces(begun.processes, processes),
      fromMs: begun.time,
      toMs,
      effect: typeof effect === 'string' ? effect : null,
      details: noteDetails(begun),
    })
  }
  for (const note of notes) {
    if (note.what === 'inject') open.set(note.id, note)
    const begun = note.what === 'heal' ? open.get(note.id) : undefined
    if (begun === undefined) continue
    open.delete(note.id)
    close(begun, note.time, note.effect ?? begun.effect)
  }
  for (const begun of open.values()) close(begun, endMs, begun.effect)
  return bands.sort((a, b) => a.fromMs - b.fromMs)
}

const findPlaces = (hit: unknown, names: readonly string[]): number[] =>
  Array.isArray(hit) ? hit.map((name) => names.indexOf(name)).filter((place) => place >= 0) : []

const KNOWN = new Set(['type', 'time', 'what', 'fault', 'id', 'nodes', 'processes', 'effect'])

/** The parameters of a fault, or the other fields of a note. */
export function noteDetails(note: NoteEvent): string {
  const entries = Object.entries(note).filter(([name]) => !KNOWN.has(name))
  return entries
    .map(([name, value]) => `${name} ${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(', ')
}

const numberOr = <T>(value: unknown, otherwise: T): number | T =>
  typeof value === 'number' ? value : otherwise
