// Events of the simulator as sentences. An event that says nothing new to a person has none.

import { formatOperation, formatOutcome } from '../report/format-operation.ts'
import { LOCK_KEY } from '../sim/clients/lock-clients.ts'
import type { FaultAction } from '../sim/faults/fault-kinds.ts'
import type { FaultStrike, SimEvent } from '../sim/sim-event.ts'
import type { HistoryOperation, RecordedResult } from '../workload/history.ts'
import type { WatchMessage } from '../workload/watch-record.ts'
import { type Caption, inSeconds, listed } from './captions.ts'

type EventCaption = Omit<Caption, 'source'>

/** `node`: the name of the node that the event is about; `nameOf` finds the name of a replica. */
export function eventCaption(
  node: string,
  event: SimEvent,
  nameOf: (id: string | undefined) => string,
): EventCaption | undefined {
  switch (event.kind) {
    case 'fault':
      // The faults that it ends have sentences.
      return event.fault.kind === 'heal' ? undefined : { text: faultText(event) }
    case 'fault-ended':
      return faultEnd(event)
    case 'started':
      return event.boot === 1
        ? { text: `${node} starts.`, isMinor: true }
        : { text: `${node} starts again, with what its disk has.` }
    case 'died':
      return { text: `The process of ${node} has died.${IN_FLIGHT[event.inFlight]}` }
    case 'ended':
      return {
        text: event.why.includes('was removed from the cluster')
          ? `${node} ends: it was removed from the cluster.`
          : `${node} ends: ${event.why}.`,
      }
    case 'resumed':
      return { text: `${node} continues.` }
    case 'not-opened':
      return { text: `${node} does not start on its disk: ${event.why}.` }
    case 'rolled-back':
      return { text: `The disk of ${node} is put back to an earlier state.` }
    case 'log-compacted':
      return {
        text: `${node} deletes its log up to entry ${event.upTo}: its store has applied these entries.`,
        isMinor: true,
      }
    case 'snapshot-installed':
      return { text: `${node} has installed a snapshot up to entry ${event.index}.` }
    case 'role':
      return roleCaption(node, event, nameOf)
    case 'request':
      if (event.operations.length === 0) return undefined
      return { text: `${event.client} asks ${node} to ${event.operations.map(requestText).join(' and ')}.` }
    case 'answer':
      if (event.results.length === 0) return undefined
      return { text: `${node} answers ${event.client}: ${event.results.map(answerText).join('; ')}.` }
    case 'refusal': {
      const { client, why } = event
      return {
        text: `${node} refuses the request of ${client}: ${words(why)}. It was certainly not carried out.`,
      }
    }
    case 'unknown-outcome': {
      const { client, why } = event
      return {
        text: `${client} cannot know whether its request to ${node} was carried out: ${words(why)}.`,
      }
    }
    case 'lock':
      return { text: lockText(node, event) }
    case 'lease':
      return { text: leaseText(node, event) }
    case 'watch-began':
      return { text: `${event.watcher} watches at ${node}, from revision ${event.from} on.` }
    case 'watch-lost':
      return { text: `${event.watcher} has lost its connection to ${node}, and looks for another node.` }
    case 'watch-message':
      return event.message.kind === 'events'
        ? {
            text: `${node} sends ${event.watcher.split(' ')[0]}, which watches: ${watchedText(event.message)}.`,
          }
        : {
            text: `${node} tells ${event.watcher.split(' ')[0]}: ${watchStateText(event.message)}.`,
            isMinor: true,
          }
    case 'deleted':
      return { text: `${event.machine} is deleted.` }
    case 'violation':
      return { text: `A rule is broken: ${event.message}` }
    // The fault that pauses it says so. The others are no events of the cluster.
    case 'paused':
    case 'connection':
    case 'liveness':
    case 'client-fault':
      return undefined
  }
}

function lockText(node: string, event: Extract<SimEvent, { kind: 'lock' }>): string {
  const { client } = event
  switch (event.what) {
    case 'asks':
      return `${client} asks ${node} to ${event.request}.`
    case 'answered':
      return event.outcome === 'ok' && event.answer.startsWith('token')
        ? `${client} holds the lock now, with fencing ${event.answer}.`
        : `${node} answers ${client}: ${event.answer}.`
    case 'stands still':
      return `The process of ${client} stands still for ${inSeconds(event.ms)}, and keeps no lease alive.`
    case 'puts off':
      return `${client} stands still. It will ${LOCK_WORDS[event.request]} when it continues, at ${inSeconds(event.until)}.`
    case 'does nothing':
      return `${client} does nothing: ${event.why}.`
    case 'continues':
      return `The process of ${client} continues, as if no time had passed.`
    case 'has lost it':
      return `${client} learns that its lease has ended: it no longer holds the lock.`
  }
}

const LOCK_WORDS = {
  lock: 'take the lock',
  release: 'release the lock',
  write: 'write what the lock protects',
  'fenced-write': 'write with its token',
  'stand-still': 'stand still',
} as const

function leaseText(node: string, event: Extract<SimEvent, { kind: 'lease' }>): string {
  const { client } = event
  const time = inSeconds(event.ttlMs)
  switch (event.what) {
    case 'granted':
      return `${client} has a lease. It ends when no keep-alive of ${client} reaches the leader for ${time}.`
    case 'kept alive':
      return `${client} keeps its lease alive: ${node} answers that it lasts another ${time}.`
    case 'expired':
      return `The lease of ${client} ends: no keep-alive has reached the leader for ${time}. ${deletedText(event.keys)}`
    case 'revoked':
      return `The lease of ${client} is revoked. ${deletedText(event.keys)}`
  }
}

function deletedText(keys: readonly string[]): string {
  if (keys.length === 0) return 'It has no key.'
  return `Every node deletes its key ${listed(keys)}${keys.includes(LOCK_KEY) ? ': the lock is free' : ''}.`
}

const watchedText = ({ events, revision }: Extract<WatchMessage, { kind: 'events' }>): string =>
  `${events.map(({ key, type, record }) => (type === 'put' ? `${key} = ${record?.value}` : `${key} is deleted`)).join(', ')}, at revision ${revision}`

const watchStateText = (message: Exclude<WatchMessage, { kind: 'events' }>): string =>
  message.kind === 'progress' ? `no event is missing up to revision ${message.revision}` : words(message.kind)

const IN_FLIGHT = {
  lost: ' What it was writing is lost.',
  kept: ' What it was writing is on its disk.',
  torn: ' What it was writing is on its disk in part.',
} as const

const words = (code: string): string => code.replaceAll('_', ' ')

/** The other changes of role are decisions of the core, which have sentences with reasons. */
function roleCaption(
  node: string,
  { role, term, leader, why }: Extract<SimEvent, { kind: 'role' }>,
  nameOf: (id: string | undefined) => string,
): EventCaption | undefined {
  if (role !== 'follower') return undefined
  return leader === undefined
    ? { text: `${node} is a follower in term ${term}: ${why}.` }
    : { text: `${node} follows ${nameOf(leader)} in term ${term}.`, isMinor: true }
}

function requestText(operation: HistoryOperation): string {
  switch (operation.f) {
    case 'put':
      return `write ${operation.value} to ${operation.key}`
    case 'del':
      return `delete ${operation.key}`
    case 'get':
      return `read ${operation.key} (${operation.consistency ?? 'linearizable'})`
    default:
      return formatOperation(operation)
  }
}

function answerText(result: RecordedResult | string): string {
  if (typeof result === 'string') return words(result)
  const { value, revision, stalenessMs, applied } = result
  if (applied === false) return formatOutcome({ kind: 'ok', result })
  if (value === null) return 'there is no value'
  if (value === undefined) return revision === undefined ? 'done' : `written, at revision ${revision}`
  return stalenessMs === undefined
    ? value
    : `${value}, with the promise that it is at most ${Math.ceil(stalenessMs)} ms old`
}

const areOrIs = (nodes: readonly string[]): string => (nodes.length > 1 ? 'are' : 'is')

const FATES = { lost: 'will be lost', late: 'will be late', doubled: 'will arrive twice' } as const

function faultText({ fault, nodes }: FaultStrike): string {
  const [first = '', second] = nodes
  const lasts = 'ms' in fault ? ` for ${inSeconds(fault.ms)}` : ''
  const again = 'ms' in fault ? ` It starts again after ${inSeconds(fault.ms)}.` : ''
  switch (fault.kind) {
    case 'partition':
      return `${listed(nodes)} ${areOrIs(nodes)} cut off from the others${lasts}.`
    case 'isolate':
      return second === undefined
        ? `${first} is cut off from all others${lasts}.`
        : `${first} and ${second} are cut off from all others${lasts}.`
    case 'one-way':
      return `Nothing that ${first} sends reaches ${second}${lasts}.`
    case 'deaf':
      return fault.direction === 'in'
        ? `${first} hears no other node${lasts}.`
        : `No other node hears ${first}${lasts}.`
    case 'lossy':
      return `${fault.perMille} of 1,000 messages are lost${lasts}.`
    case 'crash':
      return fault.point === 'now'
        ? `${first} is killed.${again}`
        : `${first} will be killed at a moment of its work (${fault.point}).${again}`
    case 'crash-many':
      return `${listed(nodes)} are killed.`
    case 'stop':
      return `${first} is requested to stop.${again}`
    case 'pause':
      return `${first} stands still${lasts}: its process is paused, and its clock continues.`
    case 'wipe':
      return `${first} loses its disk, and joins with an empty one.`
    case 'slow-disk':
      return `The disk of ${first} is slow${lasts}.`
    case 'stall-disk':
      return `The disk of ${first} stands still${lasts}.`
    case 'full-disk':
      return `The disk of ${first} is full${lasts}.`
    case 'skew':
      return `The clock of ${first} counts ${inSeconds(fault.perMille)} in a second${lasts}.`
    case 'compact-log':
      return `${first} deletes entries of its log that its store has applied${lasts}.`
    case 'jump':
      return `The clock of ${first} jumps ${inSeconds(fault.forwardMs)} forwards.`
    case 'transfer':
      return second === undefined
        ? `${first} is requested to hand over the lead.`
        : `${first} is requested to hand over the lead to ${second}.`
    case 'join':
      return `${first} asks to join the cluster.`
    case 'remove':
    case 'replace':
    case 'demote':
    case 'promote':
      return `${first} is requested to ${fault.kind} a member.`
    case 'remove-many':
      return `${first} is requested to remove ${listed(fault.places.map((place) => `n${place + 1}`))} in one change.`
    case 'message':
      return `A message from ${first} to ${second} ${FATES[fault.fate]}.`
    default:
      return `${first}: ${fault.kind}${lasts}.`
  }
}

/** A process that was down or paused says itself that it continues. */
function faultEnd({ fault, nodes }: FaultStrike): EventCaption | undefined {
  const text = endText(fault, nodes)
  return text === undefined ? undefined : { text }
}

function endText(fault: FaultAction, nodes: readonly string[]): string | undefined {
  const [first = '', second] = nodes
  switch (fault.kind) {
    case 'isolate':
      return second === undefined
        ? `${first} is connected to all others again.`
        : `${first} and ${second} are connected to all others again.`
    case 'deaf':
      return `${first} is connected to all others again.`
    case 'one-way':
      return `What ${first} sends reaches ${second} again.`
    case 'partition':
      return `${listed(nodes)} ${areOrIs(nodes)} connected to the others again.`
    case 'ring':
    case 'bridge':
    case 'half-deaf':
    case 'shifting-majority':
    case 'flap':
      return 'Links that were cut are whole again.'
    case 'lossy':
      return 'The network loses no more messages.'
    case 'slow-link':
    case 'late':
      return `Messages of ${first} are as fast as before.`
    case 'slow-apply':
      return `${first} applies entries as fast as before.`
    case 'slow-disk':
    case 'stall-disk':
      return `The disk of ${first} is as fast as before.`
    case 'skew':
      return `The clock of ${first} is as fast as before.`
    case 'full-disk':
      return `The disk of ${first} has room again.`
    default:
      return undefined
  }
}

/** A fault while it lasts: `n1 is cut off`. */
export function activeText(fault: FaultAction, nodes: readonly string[]): string {
  const [first = '', second] = nodes
  switch (fault.kind) {
    case 'partition':
      return `${listed(nodes)} ${areOrIs(nodes)} cut off`
    case 'isolate':
      return second === undefined ? `${first} is cut off` : `${first} and ${second} are cut off`
    case 'crash':
    case 'stop':
      return `${first} is down`
    case 'crash-many':
      return `${listed(nodes)} are down`
    case 'one-way':
      return `${first} → ${second} is cut`
    case 'deaf':
      return fault.direction === 'in' ? `${first} hears nobody` : `nobody hears ${first}`
    case 'half-deaf':
      return `${first} hears and reaches only some nodes`
    case 'flap':
      return `connections of ${first} come and go`
    case 'ring':
    case 'bridge':
    case 'shifting-majority':
      return 'some links are cut'
    case 'lossy':
      return 'messages are lost'
    case 'slow-link':
    case 'late':
      return `messages of ${first} are slow`
    case 'pause':
      return `${first} is paused`
    case 'slow-apply':
      return `${first} applies entries slowly`
    case 'slow-disk':
      return `${first} has a slow disk`
    case 'stall-disk':
      return `the disk of ${first} stands still`
    case 'full-disk':
      return `the disk of ${first} is full`
    case 'skew':
      return `the clock of ${first} is ${fault.perMille > 1000 ? 'fast' : 'slow'}`
    case 'compact-log':
      return `${first} keeps no old entries`
    case 'fail-sync':
      return `the next write of ${first} fails`
    case 'fail-read':
      return `a read of ${first} fails`
    default:
      return `${first}: ${fault.kind}`
  }
}
