// The run that the page shows, and what was picked on the stage.

import { computed, signal } from '@preact/signals'
import type { FaultView, LinkView, MachineView, MessageView } from '../../../jepsen-lite/lab/view.ts'
import { LabClient, type LabPort } from './lab-client.ts'
import { cutOffLine, freeClient, healLine, writeLine } from './line-texts.ts'
import { shownNodes } from './ring-layout.ts'

export const isCalm = (): boolean => matchMedia('(prefers-reduced-motion: reduce)').matches

export const client = new LabClient(
  new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' }) as LabPort,
  isCalm,
)

const NONE: readonly never[] = []

export const allNodes = computed<readonly MachineView[]>(() => client.view.value?.nodes ?? NONE)
let shownBefore: readonly MachineView[] = NONE
export const nodes = computed(() => {
  const shown = shownNodes(allNodes.value)
  const isSame = shown.length === shownBefore.length && shown.every((node, at) => node === shownBefore[at])
  if (!isSame) shownBefore = shown
  return shownBefore
})
/** Nodes that may be added. */
export const spares = computed(() => allNodes.value.filter((node) => !nodes.value.includes(node)))
export const messages = computed<readonly MessageView[]>(() => client.view.value?.messages ?? NONE)
export const cuts = computed<readonly LinkView[]>(() => client.view.value?.cuts ?? NONE)
export const operations = computed(() => client.view.value?.operations ?? NONE)
/** The watches of clients, with the events that each has received. */
export const watches = computed(() => client.view.value?.watches ?? NONE)
export const notes = computed(() => client.view.value?.notes ?? NONE)
/** The newest note that says more than the ones before it. */
export const caption = computed(() => notes.value.findLast(({ isMinor }) => !isMinor) ?? notes.value.at(-1))
export const faults = computed(() => client.view.value?.faults ?? NONE)

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
  /** A link that is cut. */
  | { readonly kind: 'link'; readonly from: string; readonly to: string }
  | { readonly kind: 'partition' }
export const picked = signal<Picked | undefined>(undefined)

/** Made once for each message: each frame reads it. */
const messageIds = new WeakMap<MessageView, string>()

export function messageId(message: MessageView): string {
  const known = messageIds.get(message)
  if (known !== undefined) return known
  const { from, to, number, sentAt } = message
  const id = `${from} ${to} ${number} ${sentAt}`
  messageIds.set(message, id)
  return id
}

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

/** Ends a fault that lasts. */
export const heal = (fault: FaultView): void => client.act(healLine(fault))

export function healNewest(): void {
  const newest = faults.value.at(-1)
  if (newest !== undefined) heal(newest)
}

export const standstills = computed(() => client.view.value?.standstills ?? NONE)
/** Texts about the clients whose processes stand still now, by client. */
export const standing = computed<ReadonlyMap<string, string>>(() => {
  const now = client.view.value?.now ?? 0
  const all = standstills.value.filter(({ until }) => until > now)
  return new Map(
    all.map(({ client: name, until }) => [name, `${name} stands still until ${(until / 1000).toFixed(2)} s`]),
  )
})

export const writer = computed(() => freeClient(operations.value, standing.value))

/** Writes at the leader, if there is one and a client is free. */
export function write(): void {
  if (writer.value === undefined || leader.value === undefined) return
  client.act(writeLine(writer.value, 'leader'))
}

export function cutOffLeader(): void {
  if (leader.value !== undefined) client.act(cutOffLine('leader', CUT_OFF_MS))
}
