// Calls that may wait for others: locks, elections, and who observes them.

import type { LeaderResponse } from '../../../src/etcd/messages/coordination.ts'
import { RPC } from '../../../src/etcd/rpcs.ts'
import { ETCD_ERRORS, GRPC, GrpcError } from '../../../src/etcd/status.ts'
import type { GrpcCallOptions, GrpcClient } from '../../../src/etcd-client/grpc-client.ts'
import { poll } from '../../../src/local/poll.ts'
import type { Frame, Json, JsonObject } from './frame.ts'

interface BackgroundCall {
  readonly rpc: 'lock' | 'campaign' | 'observe'
  readonly name: Uint8Array
  /** The revision of the leader's value that an observer has received. */
  revision: number
  readonly cancel: () => void
  readonly ended: Promise<void>
  /** The key with which it waits, or has what it waited for. */
  key: Uint8Array | undefined
  /** undefined: it waits. */
  received: Json | undefined
  /** It has not waited: what it has received was compared. */
  isAnswered: boolean
  response: { readonly key?: Uint8Array; readonly leader?: unknown } | undefined
}

/** Time in which the key of a call must be there, or gone. */
const KEY_MS = 10_000
const LOOK_MS = 5
const NO_BYTES = new Uint8Array()
/** Errors of a reader without a login, or with one from before rights were switched off. */
const NO_LOGINS = [ETCD_ERRORS.userEmpty.message, ETCD_ERRORS.invalidAuthToken.message]
/** Leases that a server chooses end by themselves if the conversation does not know them. */
const OWN_LEASE = /\/([0-9a-f]+)$/

export class CallsInTheBackground {
  readonly #client: GrpcClient
  readonly #frame: Frame
  readonly #leases: Set<bigint>
  readonly #reader: () => GrpcCallOptions
  readonly #calls = new Map<number, BackgroundCall>()

  /** `leases`: those that the conversation revokes in the end. `reader`: who may read all keys. */
  constructor(client: GrpcClient, frame: Frame, leases: Set<bigint>, reader: () => GrpcCallOptions) {
    this.#client = client
    this.#frame = frame
    this.#leases = leases
    this.#reader = reader
  }

  get received(): JsonObject {
    const entries = [...this.#calls].toSorted(([a], [b]) => a - b)
    const waiting = entries.filter(([, { isAnswered }]) => !isAnswered)
    return Object.fromEntries(waiting.map(([at, { received }]) => [`call ${at}`, received ?? 'waits']))
  }

  /** Begins a call. Resolves with its response, or with 'waits'; then the response is among what was received. */
  async acquire(
    rpc: 'lock' | 'campaign',
    at: number,
    request: object,
    options: GrpcCallOptions,
  ): Promise<Json> {
    if (this.#calls.has(at)) return 'there is such a call'
    const { name, value = NO_BYTES } = request as { readonly name: Uint8Array; readonly value?: Uint8Array }
    const before = new Map((await this.#candidates(name)).map((each) => [idOf(each), each]))
    const abort = new AbortController()
    const call: BackgroundCall = {
      ...{ rpc, name, revision: 0, isAnswered: false },
      ...{ key: undefined, received: undefined, response: undefined },
      cancel: () => abort.abort(),
      ended: this.#run(rpc, request, options, abort.signal, (response, received) => {
        const { header, ...others } = received
        call.response = response
        // How much is written while a call waits depends on time.
        call.received = hasWaited || header === undefined ? others : { header, ...others }
      }),
    }
    let hasWaited = false
    this.#calls.set(at, call)
    const isThere = async () => {
      if (call.received !== undefined) return true
      const candidates = await this.#candidates(name)
      const mine = candidates.find((each) => !before.has(idOf(each)) || isKeyOf(each.key, request))
      if (mine === undefined || (rpc === 'campaign' && Buffer.compare(mine.value, value) !== 0))
        return undefined
      call.key = mine.key
      // The oldest one has it, and waits for nothing.
      const isWaiting = candidates.some(({ createRevision }) => createRevision < mine.createRevision)
      return isWaiting || undefined
    }
    const settled = await poll(isThere, { timeoutMs: KEY_MS, intervalMs: LOOK_MS })
    hasWaited = true
    const key = call.response?.key ?? (call.response?.leader as { readonly key: Uint8Array } | undefined)?.key
    call.key ??= key
    if (call.key !== undefined) this.#leases.add(leaseIn(call.key))
    call.isAnswered = call.received !== undefined
    return settled === undefined ? 'no key' : (call.received ?? 'waits')
  }

  async #run(
    rpc: 'lock' | 'campaign',
    request: object,
    options: GrpcCallOptions,
    signal: AbortSignal,
    end: (response: object | undefined, received: JsonObject) => void,
  ): Promise<void> {
    const stream = this.#client.serverStream(RPC[rpc] as typeof RPC.lock, request, options)
    signal.addEventListener('abort', () => stream.cancel(), { once: true })
    try {
      for await (const response of stream) end(response, this.#frame.fromResponse(response))
    } catch (error) {
      if (!(error instanceof GrpcError)) throw error
      end(undefined, { code: error.code, text: error.message })
    }
  }

  async #candidates(name: Uint8Array) {
    const start = Buffer.concat([name, Buffer.from('/')])
    const rangeEnd = Buffer.concat([name, Buffer.from('0')])
    const { kvs } = await this.#client.unary(RPC.range, { key: start, rangeEnd }, this.#reader())
    return kvs
  }

  /** Receives the newest leader, and its value. Values between may be left out. */
  observe(at: number, request: object, options: GrpcCallOptions): Promise<Json> {
    if (this.#calls.has(at)) return Promise.resolve('there is such a call')
    const { name } = request as { readonly name: Uint8Array }
    const stream = this.#client.serverStream(RPC.observe, request, options)
    const call: BackgroundCall = {
      ...{ rpc: 'observe', name, revision: 0, isAnswered: false },
      ...{ key: undefined, received: undefined, response: undefined },
      cancel: () => stream.cancel(),
      ended: this.#follow(stream, (received, revision) => {
        call.received = received
        call.revision = revision
      }),
    }
    this.#calls.set(at, call)
    return Promise.resolve(null)
  }

  async #follow(
    stream: AsyncIterable<LeaderResponse>,
    receive: (received: Json, revision: number) => void,
  ): Promise<void> {
    let last: Json = null
    // The call is known when this function has returned.
    await Promise.resolve()
    try {
      for await (const { kv } of stream) {
        last = this.#frame.fromResponse({ kv })
        receive(last, kv?.modRevision ?? 0)
      }
      receive({ end: true, last }, Number.POSITIVE_INFINITY)
    } catch (error) {
      if (!(error instanceof GrpcError)) throw error
      receive({ code: error.code, text: error.message, last }, Number.POSITIVE_INFINITY)
    }
  }

  /** Resolves when observers have received the leader that there is, and a call with the oldest key its response. */
  async delivered(): Promise<void> {
    for (const call of this.#calls.values()) {
      const leader = await this.#findLeader(call.name)
      const isDelivered = async () =>
        leader === undefined ||
        (call.rpc === 'observe' ? call.revision >= leader.modRevision : !(await this.#isDue(call))) ||
        undefined
      await poll(isDelivered, { timeoutMs: KEY_MS, intervalMs: LOOK_MS })
    }
  }

  /** Whether a call has the oldest key, and no response yet. */
  async #isDue({ name, key, received }: BackgroundCall): Promise<boolean> {
    if (received !== undefined || key === undefined) return false
    const leader = await this.#findLeader(name)
    return leader !== undefined && Buffer.compare(leader.key, key) === 0
  }

  /** undefined: there is none, or nobody is logged in who may read it. */
  async #findLeader(name: Uint8Array) {
    try {
      const candidates = await this.#candidates(name)
      return candidates.toSorted((a, b) => a.createRevision - b.createRevision)[0]
    } catch (error) {
      if (error instanceof GrpcError && NO_LOGINS.includes(error.message)) return undefined
      throw error
    }
  }

  /** Cancels a call. Resolves when the key of one that has waited is gone. */
  async cancel(at: number): Promise<Json> {
    const call = this.#calls.get(at)
    if (call === undefined) return 'no such call'
    const hasWaited = call.received === undefined && call.rpc !== 'observe'
    if (call.isAnswered) return 'it was answered'
    call.cancel()
    await call.ended
    if (call.rpc === 'observe') this.#calls.delete(at)
    else call.received = { code: GRPC.cancelled }
    const { key } = call
    if (!hasWaited || key === undefined) return null
    const isGone = async () =>
      (await this.#client.unary(RPC.range, { key }, this.#reader())).count === 0 || undefined
    const gone = await poll(isGone, { timeoutMs: KEY_MS, intervalMs: LOOK_MS })
    return gone === undefined ? 'its key is still there' : null
  }

  /** The request with what earlier calls have received, where it names them: `{ call: 1 }`. */
  resolve(request: Record<string, unknown>): Record<string, unknown> {
    const { leader, key } = request
    const find = ({ call }: CallReference) => this.#calls.get(call)?.response
    if (isReference(leader)) return { ...request, leader: find(leader)?.leader ?? {} }
    if (isReference(key)) return { ...request, key: find(key)?.key ?? NO_BYTES }
    return request
  }

  async end(): Promise<void> {
    for (const { rpc, cancel } of this.#calls.values()) if (rpc === 'observe') cancel()
    const all = [...this.#calls.values()]
    const ended = Promise.all(all.map(({ ended: each }) => each))
    const timer = setTimeout(() => {
      for (const { cancel } of all) cancel()
    }, KEY_MS)
    await ended
    clearTimeout(timer)
  }
}

interface CallReference {
  readonly call: number
}

const isReference = (field: unknown): field is CallReference =>
  typeof field === 'object' && field !== null && 'call' in field

const idOf = ({
  key,
  createRevision,
}: {
  readonly key: Uint8Array
  readonly createRevision: number
}): string => `${Buffer.from(key).toString('latin1')} ${createRevision}`

/** The lease of a candidate, which its key names. */
const leaseIn = (key: Uint8Array): bigint =>
  BigInt(`0x${OWN_LEASE.exec(Buffer.from(key).toString('latin1'))?.[1] ?? '0'}`)

const isKeyOf = (key: Uint8Array, request: object): boolean => {
  const { lease = 0n } = request as { readonly lease?: bigint }
  return lease !== 0n && leaseIn(key) === lease
}
