// Derives from the notes of a history the state of each node over time, and the faults as intervals.

import type { NoteEvent } from '../workload/history.ts'

export interface Span {
  readonly node: number
  /** A role, or 'down', 'paused', 'starting'. */
  readonly state: string
  readonly term: number | null
  /** The leader that this node knows; '' if it knows none. */
  readonly leader: string
  readonly fromMs: number
  readonly toMs: number
}

export interface NodeMark {
  readonly node: number
  readonly timeMs: number
  readonly what: 'elected' | 'kill' | 'start' | 'pause' | 'resume' | 'wipe' | 'ended'
  readonly text: string
}

export interface Band {
  readonly kind: string
  readonly nodes: readonly number[]
  readonly fromMs: number
  readonly toMs: number
  /** Evidence that it took effect; null if there is none. */
  readonly effect: string | null
  readonly details: string
}

/** The states of nodes as intervals, and their events as marks. `nodes`: their names, in the order of their lanes. */
export function buildLanes(
  notes: readonly NoteEvent[],
  nodes: readonly string[],
  endMs: number,
): { readonly spans: readonly Span[]; readonly marks: readonly NodeMark[] } {
  const lanes = nodes.map((_, node) => new Lane(node))
  const marks: NodeMark[] = []
  let highestTermLed = 0
  for (const note of notes) {
    const node = note.node === undefined ? -1 : nodes.indexOf(note.node)
    const lane = lanes[node]
    if (lane === undefined) continue
    const ran = lane.runs
    lane.see(note)
    if (note.what === 'role') {
      const term = numberOr(note.term, 0)
      if (note.role !== 'leader' || term <= highestTermLed) continue
      highestTermLed = term
      marks.push({ node, timeMs: note.time, what: 'elected', text: `leader of term ${term}` })
    } else if (isMarked(note.what) && (note.what !== 'ended' || ran)) {
      // A killed process has the notes `kill` and `ended`, but gets one mark.
      const text = typeof note.reason === 'string' ? note.reason : ''
      marks.push({ node, timeMs: note.time, what: note.what, text })
    }
  }
  for (const lane of lanes) lane.close(endMs)
  return { spans: lanes.flatMap(({ spans }) => spans), marks }
}

const MARKED = ['kill', 'start', 'pause', 'resume', 'wipe', 'ended'] as const
type MarkKind = (typeof MARKED)[number]
const isMarked = (what: string): what is MarkKind => MARKED.some((one) => one === what)

class Lane {
  readonly spans: Span[] = []
  readonly #node: number
  runs = false
  #paused = false
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

  constructor(node: number) {
    this.#node = node
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
      node: this.#node,
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
    this.#role = undefined
    this.#term = undefined
    this.#leader = ''
  }

  #change(timeMs: number): void {
    const state = !this.runs ? 'down' : this.#paused ? 'paused' : (this.#role ?? 'starting')
    const term = this.runs ? (this.#term ?? null) : null
    const leader = this.runs ? this.#leader : ''
    const { state: was, term: before, leader: followed } = this.#open ?? {}
    if (state === was && term === before && leader === followed) return
    this.close(timeMs)
    this.#open = { state, term, leader, fromMs: timeMs }
  }
}

/** Faults as intervals; a fault that was not healed lasts to the end. */
export function buildBands(notes: readonly NoteEvent[], nodes: readonly string[], endMs: number): Band[] {
  const open = new Map<unknown, NoteEvent>()
  const bands: Band[] = []
  const close = (begun: NoteEvent, toMs: number, effect: string | null): void => {
    const hit = Array.isArray(begun.nodes) ? begun.nodes.map((name) => nodes.indexOf(name)) : []
    const kind = typeof begun.fault === 'string' ? begun.fault : 'fault'
    bands.push({
      kind,
      nodes: hit.filter((node) => node >= 0),
      fromMs: begun.time,
      toMs,
      effect,
      details: noteDetails(begun),
    })
  }
  for (const note of notes) {
    if (note.what === 'inject') open.set(note.id, note)
    const begun = note.what === 'heal' ? open.get(note.id) : undefined
    if (begun === undefined) continue
    open.delete(note.id)
    close(begun, note.time, typeof note.effect === 'string' ? note.effect : null)
  }
  for (const begun of open.values()) close(begun, endMs, null)
  return bands.sort((a, b) => a.fromMs - b.fromMs)
}

const KNOWN = new Set(['type', 'time', 'what', 'fault', 'id', 'nodes'])

/** The parameters of a fault, or the other fields of a note. */
export function noteDetails(note: NoteEvent): string {
  const entries = Object.entries(note).filter(([name]) => !KNOWN.has(name))
  return entries
    .map(([name, value]) => `${name} ${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(', ')
}

const numberOr = <T>(value: unknown, otherwise: T): number | T =>
  typeof value === 'number' ? value : otherwise
