// Two servers that are asked the same, and where they differ.

import type { GrpcClient } from '../../../src/etcd-client/grpc-client.ts'
import { poll } from '../../../src/local/poll.ts'
import type { EtcdRelease } from '../etcd-programs.ts'
import { Conversation, type Step } from './conversation.ts'
import { FIRST_REVISION, type Json, type JsonObject } from './frame.ts'
import { LISTED, LISTED_OF_WATCHES, type ListedDifference, withoutCompacted } from './listed.ts'

export interface Exchange {
  readonly release: EtcdRelease
  readonly steps: readonly Step[]
  /** Step of them that is compared, or behind which the watches are. */
  readonly step: Step
  readonly etcd: Json
  readonly quorate: Json
}

/** A conversation as etcd has answered it. */
export interface Recorded {
  readonly exchanges: readonly RecordedExchange[]
  /** Responses that its watches have received in the end. */
  readonly watched: JsonObject
}

export interface RecordedExchange {
  readonly step: Step
  /** Responses that its watches had received before, where the response depends on them. */
  readonly watched?: JsonObject
  readonly response: Json
}

/** Time in which both servers tell their watches all that there is; while a failure is shrunk. */
const SETTLE_MS = 10_000
const SHRUNK_SETTLE_MS = 2_000
const SETTLE_LOOK_MS = 5
/** Time for the events of the last request. Before, watches that have received nothing are alike. */
const LAST_EVENTS_MS = 20
/** etcd looks so often for watches that begin in the past, in milliseconds, and some more. */
const PAST_WATCH_MS = 150

/** Conversations of all comparisons: several may have the same servers. */
let runs = 0

export class Comparison {
  readonly release: EtcdRelease
  readonly #clients: readonly [GrpcClient, GrpcClient]
  /** Requests that both servers have answered. */
  requests = 0
  /** How often each listed difference showed itself, by its name. */
  readonly listed = new Map<string, number>()
  #settleMs: number

  constructor(release: EtcdRelease, etcd: GrpcClient, quorate: GrpcClient, settleMs = SETTLE_MS) {
    this.release = release
    this.#settleMs = settleMs
    this.#clients = [etcd, quorate]
  }

  /**
   * Holds one conversation with both, and returns etcd's part; undefined: it was left at a listed difference. Rejects
   * where they differ in what is not listed.
   */
  async compare(steps: readonly Step[]): Promise<Recorded | undefined> {
    const run = ++runs
    const talks = await this.#both((client) => Conversation.begin(client, run))
    try {
      return await this.#compare(steps, talks)
    } catch (error) {
      this.#settleMs = Math.min(this.#settleMs, SHRUNK_SETTLE_MS)
      throw error
    } finally {
      await Promise.all(talks.map((talk) => talk.end()))
    }
  }

  async #compare(
    steps: readonly Step[],
    [etcd, quorate]: readonly [Conversation, Conversation],
  ): Promise<Recorded | undefined> {
    const exchanges: RecordedExchange[] = []
    let pastWatch = Number.NEGATIVE_INFINITY
    /** Resolves with the listed difference that they show; undefined: none. */
    const settle = async (step: Step): Promise<ListedDifference | undefined> => {
      // etcd may not have looked at it: then nothing was sent, and nothing shows it.
      const waitMs = pastWatch + PAST_WATCH_MS - performance.now()
      if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs))
      const exchange = () => ({
        ...{ release: this.release, steps, step },
        ...{ etcd: etcd.watched, quorate: quorate.watched },
      })
      const settled = await poll(() => isAlike(exchange()) || findListed(LISTED_OF_WATCHES, exchange()), {
        timeoutMs: this.#settleMs,
        intervalMs: SETTLE_LOOK_MS,
      })
      if (settled === undefined) throw new Error(describe(exchange()))
      return settled === true ? undefined : settled
    }
    const delivered = () => Promise.all([etcd.delivered(), quorate.delivered()])
    for (const step of steps) {
      await delivered()
      if (needsSettled(step)) {
        const listed = await settle(step)
        if (listed !== undefined) return this.#leave(listed)
      }
      const before = etcd.watched
      const answers = await Promise.all([etcd.make(step), quorate.make(step)])
      if (WATCHES.has(step.rpc)) pastWatch = performance.now()
      this.requests++
      const exchange = { release: this.release, steps, step, etcd: answers[0], quorate: answers[1] }
      const [response] = answers
      if (!isAlike(exchange)) {
        const difference = findListed(LISTED, exchange)
        if (difference === undefined) throw new Error(describe(exchange))
        if (!difference.isOfResponse) return this.#leave(difference)
        this.#count(difference)
      }
      exchanges.push({ step, ...(needsSettled(step) && { watched: before }), response })
    }
    await delivered()
    await new Promise((resolve) => setTimeout(resolve, LAST_EVENTS_MS))
    const [last] = steps.slice(-1)
    const listed = last && (await settle(last))
    if (listed !== undefined) return this.#leave(listed)
    return { exchanges, watched: etcd.watched }
  }

  /** The rest of the conversation may depend on the difference. */
  #leave(difference: ListedDifference): undefined {
    this.#count(difference)
    return undefined
  }

  #count({ name }: ListedDifference): void {
    this.listed.set(name, (this.listed.get(name) ?? 0) + 1)
  }

  async #both<T>(make: (client: GrpcClient) => Promise<T>): Promise<readonly [T, T]> {
    const [etcd, quorate] = this.#clients
    return await Promise.all([make(etcd), make(quorate)])
  }
}

/** Requests whose effect depends on what the watches have received before. */
const needsSettled = ({ rpc, request }: Step): boolean =>
  rpc === 'compact' ||
  rpc === 'cancelCall' ||
  rpc === 'unlock' ||
  rpc === 'resign' ||
  'progressRequest' in request ||
  'cancelRequest' in request ||
  Object.values(request).some((field) => isObject(field) && 'call' in field)

/** RPCs for which etcd begins a watch. */
const WATCHES: ReadonlySet<string> = new Set(['watch', 'lock', 'campaign', 'observe'])

const isObject = (json: Json): json is JsonObject =>
  typeof json === 'object' && json !== null && !Array.isArray(json)

/** Whether the responses are alike, or differ in nothing but what is listed. */
export const isExpected = (exchange: Exchange): boolean =>
  isAlike(exchange) || findListed(LISTED, exchange)?.isOfResponse === true

const findListed = (list: readonly ListedDifference[], exchange: Exchange): ListedDifference | undefined =>
  list.find(({ release, shows }) => (release ?? exchange.release) === exchange.release && shows(exchange))

/** Whether both servers have answered the same, but for what etcd lacks at the compact revision. */
export const isAlike = ({ etcd, quorate, ...exchange }: Omit<Exchange, 'step'>): boolean =>
  isEqual(etcd, quorate) || isEqual(withoutCompacted(etcd, exchange), withoutCompacted(quorate, exchange))

/** Seconds by which the rest of a time to live may differ: a session may renew its lease, or not. */
const TTL_ERROR_MAX = 5

function isEqual(a: Json, b: Json, name = ''): boolean {
  if (typeof a === 'number' && typeof b === 'number' && name === 'ttl')
    return Math.abs(a - b) <= TTL_ERROR_MAX
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return a === b
  const [left, right] = [Object.entries(a), Object.entries(b)]
  const others = new Map<string, Json>(right)
  return (
    left.length === right.length &&
    Array.isArray(a) === Array.isArray(b) &&
    left.every(([field, value]) => others.has(field) && isEqual(value, others.get(field) ?? null, field))
  )
}

const describe = ({ steps, step, etcd, quorate }: Exchange): string =>
  [
    `etcd and quorate differ (the store is at revision ${FIRST_REVISION} at the beginning):`,
    ...steps.map((each) => `  ${each === step ? '>' : ' '} ${short(each)}`),
    `  etcd:    ${short(etcd)}`,
    `  quorate: ${short(quorate)}`,
  ].join('\n')

/** Largest part of a request or a response that is printed. */
const SHOWN_MAX = 1_000

function short(json: unknown): string {
  const text = JSON.stringify(json)
  return text.length > SHOWN_MAX ? `${text.slice(0, SHOWN_MAX)}… (${text.length} characters)` : text
}
