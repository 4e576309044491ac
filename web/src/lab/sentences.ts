// Notes of a run as plain sentences. Those of the core are sentences already, with their reasons. Others are texts of
// the simulator; one that says nothing new to a person has no sentence.

import type { NoteView } from '../../../jepsen-lite/lab/view.ts'

export interface Sentence {
  readonly at: number
  readonly text: string
  /** The section of the paper or the thesis with the rule behind it. */
  readonly source: string | undefined
  /** It follows from what was said before. The caption shows it only where there is nothing else. */
  readonly isMinor: boolean
}

/** The sentences of these notes, in their order. */
export const sentencesOf = (notes: readonly NoteView[]): Sentence[] =>
  notes.flatMap((note) => sentenceOf(note) ?? [])

export function sentenceOf({ at, node = '', text, source }: NoteView): Sentence | undefined {
  if (source !== undefined) return { at, text, source, isMinor: MINOR_DECISION.test(text) }
  for (const [pattern, write, isMinor = false] of RULES) {
    const found = pattern.exec(text)
    if (found === null) continue
    const written = write(node, found)
    return written === undefined ? undefined : { at, text: written, source, isMinor }
  }
  return { at, text: node === '' ? text : `${node}: ${text}`, source, isMinor: false }
}

/** The election that they are for has a sentence, and its end has one. */
const MINOR_DECISION = /^\w+ (would vote|votes) for /

type Rule = readonly [
  pattern: RegExp,
  write: (node: string, found: RegExpExecArray) => string | undefined,
  isMinor?: boolean,
]

const seconds = (ms: number | string): string => `${(Number(ms) / 1000).toFixed(1)} s`

const RULES: readonly Rule[] = [
  // The decision of the core says the same, and why.
  [/^(pre-candidate|candidate|leader) in term/, () => undefined],
  [
    /^follower in term \d+.*: no quorum for (\d+) ms/,
    (node, [, ms = '']) =>
      `${node} no longer leads: it has heard from no majority for ${seconds(ms)}, so others may have a leader.`,
  ],
  [
    /^follower in term (\d+), leader (\S+):/,
    (node, [, term, leader]) => `${node} follows ${leader} in term ${term}.`,
    true,
  ],
  [
    /^follower in term (\d+): message of term/,
    (node, [, term]) => `${node} has seen term ${term}, which is newer than its own.`,
    true,
  ],
  [
    /^follower in term (\d+): lost the election/,
    (node, [, term]) => `${node} has lost the election of term ${term}.`,
  ],
  [
    /^follower in term (\d+): (.*)/,
    (node, [, term, why]) => `${node} is a follower in term ${term}: ${why}.`,
  ],
  [
    /^gets from (c\S+): (.*)/,
    (node, [, client, json = '']) => `${client} asks ${node} to ${requestText(json)}.`,
  ],
  [
    /^answers (c\S+): (.*)/,
    (node, [, client, json = '']) => `${node} answers ${client}: ${answerText(json)}.`,
  ],
  [
    /^refuses (c\S+): (.*)/,
    (node, [, client, why = '']) =>
      `${node} refuses the request of ${client}: ${words(why)}. It was certainly not carried out.`,
  ],
  [
    /^leaves (c\S+) in doubt: (.*)/,
    (node, [, client, why = '']) =>
      `${client} cannot know whether its request to ${node} was carried out: ${words(why)}.`,
  ],
  [
    /^fault ([\w-]+): ([^{]*?) ?(\{.*)$/,
    (_, [, kind = '', names = '', json = '']) => faultText(kind, names, json),
  ],
  [/^dies, batch in flight lost/, (node) => `The process of ${node} has died. What it was writing is lost.`],
  [/^dies/, (node) => `The process of ${node} has died.`],
  [/^starts as replica \d+, boot 1$/, (node) => `${node} starts.`, true],
  [/^starts as replica/, (node) => `${node} starts again, with what its disk has.`],
  [/^is stopped/, () => undefined],
  [/^resumes/, (node) => `${node} continues.`],
  [
    /^ends itself: .*was removed from the cluster/,
    (node) => `${node} ends: it was removed from the cluster.`,
  ],
  [/^ends itself: (.*)/, (node, [, why]) => `${node} ends: ${why}.`],
  [
    /^has installed a snapshot of (\d+)/,
    (node, [, index]) => `${node} has installed a snapshot up to entry ${index}.`,
  ],
  [/^(connected to a peer|the connection to a peer broke|a peer is gone|refused a peer)/, () => undefined],
  [/^a snapshot transfer ended/, () => undefined],
]

const words = (code: string): string => code.replaceAll('_', ' ')

/** `{}` for anything else. */
function parsed(json: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(json)
    const first: unknown = Array.isArray(value) ? value[0] : value
    return typeof first === 'object' && first !== null ? (first as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}

function requestText(json: string): string {
  const { f, key, value, consistency } = parsed(json)
  if (f === 'put') return `write ${value} to ${key}`
  if (f === 'del') return `delete ${key}`
  if (f === 'get') return `read ${key} (${consistency ?? 'linearizable'})`
  return String(f ?? 'do something')
}

function answerText(json: string): string {
  const { value, revision, stalenessMs } = parsed(json)
  if (value === null) return 'there is no value'
  if (value === undefined) return revision === undefined ? 'done' : `written, at revision ${revision}`
  return typeof stalenessMs === 'number'
    ? `${value}, at most ${Math.ceil(stalenessMs)} ms old`
    : String(value)
}

const FATES: Readonly<Record<string, string>> = {
  lost: 'will be lost',
  late: 'will be late',
  doubled: 'will arrive twice',
}

function faultText(kind: string, names: string, json: string): string {
  const { ms, direction, fate } = parsed(json)
  const [first = '', second = ''] = names.split(' ')
  const lasts = typeof ms === 'number' ? ` for ${seconds(ms)}` : ''
  switch (kind) {
    case 'isolate':
      return `${first} is cut off from all others${lasts}.`
    case 'one-way':
      return `Nothing that ${first} sends reaches ${second}${lasts}.`
    case 'deaf':
      return direction === 'in'
        ? `${first} hears no other node${lasts}.`
        : `No other node hears ${first}${lasts}.`
    case 'crash':
      return `${first} is killed. It starts again after ${seconds(Number(ms))}.`
    case 'pause':
      return `${first} stands still${lasts}: its process is paused, and its clock continues.`
    case 'slow-disk':
      return `The disk of ${first} is slow${lasts}.`
    case 'transfer':
      return second === ''
        ? `${first} is asked to hand over the lead.`
        : `${first} is asked to hand over the lead to ${second}.`
    case 'join':
      return `${first} asks to join the cluster.`
    case 'remove':
      return `${first} is asked to remove a member.`
    case 'message':
      return `A message from ${first} to ${second} ${FATES[String(fate)] ?? 'is changed'}.`
    default:
      return `${first}: ${kind}${lasts}.`
  }
}

/** A fault that has an end, and when that is. */
export interface ActiveFault {
  readonly node: string
  readonly text: string
  readonly until: number
}

const ACTIVE: Readonly<Record<string, (names: string[], direction: unknown) => string>> = {
  isolate: ([node]) => `${node} is cut off`,
  'one-way': ([from, to]) => `${from} → ${to} is cut`,
  deaf: ([node], direction) => (direction === 'in' ? `${node} hears nobody` : `nobody hears ${node}`),
  crash: ([node]) => `${node} is down`,
  pause: ([node]) => `${node} is paused`,
  'slow-disk': ([node]) => `${node} has a slow disk`,
}

/** The faults that last at this moment. */
export function activeFaults(notes: readonly NoteView[], now: number): ActiveFault[] {
  return notes.flatMap(({ at, text }) => {
    const [, kind = '', names = '', json = ''] = /^fault ([\w-]+): ([^{]*?) ?(\{.*)$/.exec(text) ?? []
    const { ms, direction } = parsed(json)
    const write = ACTIVE[kind]
    if (write === undefined || typeof ms !== 'number' || at + ms <= now) return []
    const all = names.split(' ')
    return [{ node: all[0] ?? '', text: write(all, direction), until: at + ms }]
  })
}

/** The newest sentence that says more than the ones before it. */
export const captionOf = (sentences: readonly Sentence[]): Sentence | undefined =>
  sentences.findLast(({ isMinor }) => !isMinor) ?? sentences.at(-1)
