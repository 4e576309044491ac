// The run that the page shows, and what was picked on the stage.

import { computed, type ReadonlySignal, signal } from '@preact/signals'
import type { LinkView, MachineView, MessageView } from '../../../jepsen-lite/lab/view.ts'
import { LabClient, type LabPort } from './lab-client.ts'
import { cutOffLine, freeClient, writeLine } from './line-texts.ts'
import { shownNodes } from './ring-layout.ts'
import { captionOf, lastingFaults, sentencesOf } from './sentences.ts'
import { sharedParts } from './shared-parts.ts'

const isCalm = (): boolean => matchMedia('(prefers-reduced-motion: reduce)').matches

const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' })
export const client = new LabClient(worker as LabPort, isCalm)
worker.addEventListener('error', () => {
  client.refusal.value = { of: 'run', why: 'the program of the cluster has failed: load the page again' }
})

const NONE: readonly never[] = []

export const allNodes = computed<readonly MachineView[]>(() => client.view.value?.nodes ?? NONE)
/** A computed value that stays the same object while its content is equal: then nothing is drawn again. */
function settled<T>(compute: () => T): ReadonlySignal<T> {
  let before: T | undefined
  return computed(() => {
    before = sharedParts(before, compute())
    return before
  })
}

export const nodes = settled<readonly MachineView[]>(() => shownNodes(allNodes.value))
/** Nodes that may be added. */
export const spares = computed(() => allNodes.value.filter((node) => !nodes.value.includes(node)))
export const messages = computed<readonly MessageView[]>(() => client.view.value?.messages ?? NONE)
export const cuts = computed<readonly LinkView[]>(() => client.view.value?.cuts ?? NONE)
export const operations = computed(() => client.view.value?.operations ?? NONE)
const notes = computed(() => client.view.value?.notes ?? NONE)
export const sentences = computed(() => sentencesOf(notes.value))
export const caption = computed(() => captionOf(sentences.value))
const lasting = computed(() => lastingFaults(notes.value))
/** The faults that last at this moment. */
export const faults = settled(() => {
  const now = client.view.value?.now ?? 0
  return lasting.value.filter(({ until }) => until > now)
})

/** The leader of the highest term that runs. */
export const leader = computed(() => leaderOf(nodes.value))
export const leaderOf = (all: readonly MachineView[]): MachineView | undefined =>
  all
    .filter(({ role, state }) => role === 'leader' && state === 'running')
    .toSorted((a, b) => b.term - a.term)[0]

/** It leads a term that is over, and has not heard of it. */
export const isStale = ({ role, term }: MachineView): boolean =>
  role === 'leader' && leader.value !== undefined && term < leader.value.term

export type Picked =
  | { readonly kind: 'node'; readonly name: string }
  | { readonly kind: 'message'; readonly id: string }
export const picked = signal<Picked | undefined>(undefined)

export const messageId = ({ from, to, number, sentAt }: MessageView): string =>
  `${from} ${to} ${number} ${sentAt}`

/** A message moves on while somebody reads what can be done with it. */
export function pickMessage(message: MessageView): void {
  client.pause()
  picked.value = { kind: 'message', id: messageId(message) }
}

export function pickNode(name: string): void {
  const { value } = picked
  picked.value = value?.kind === 'node' && value.name === name ? undefined : { kind: 'node', name }
}

/** How long a fault lasts, in virtual milliseconds. */
export const faultMs = signal(3000)
/** Time for which the leader is cut off: an election takes up to two seconds, and what follows shall be seen. */
const CUT_OFF_MS = 5000

export const writer = computed(() => freeClient(operations.value))

/** Writes at the leader, if there is one and a client is free. */
export function write(): void {
  if (writer.value === undefined || leader.value === undefined) return
  client.act(writeLine(writer.value, 'leader'))
}

export function cutOffLeader(): void {
  if (leader.value !== undefined) client.act(cutOffLine('leader', CUT_OFF_MS))
}
