// A conversation with one server: requests one after the other, and their responses.

import type { LeaseKeepAliveResponse } from '../../../src/etcd/messages/lease.ts'
import { RPC, type RpcDescription } from '../../../src/etcd/rpcs.ts'
import { GrpcError } from '../../../src/etcd/status.ts'
import { type GrpcCallOptions, GrpcClient } from '../../../src/etcd-client/grpc-client.ts'
import { CallsInTheBackground } from './background-calls.ts'
import { factsOf } from './facts.ts'
import { FIRST_REVISION, Frame, type Json, type JsonObject } from './frame.ts'
import { readSnapshot } from './snapshot.ts'
import { removeAlarms, removeUsers, Tokens } from './users.ts'
import { WatchStream } from './watch-stream.ts'

const { leaseKeepAlive, watch, lock, campaign, observe, snapshot, rangeStream, healthWatch, ...UNARY } = RPC

/** RPCs whose field `name` is the beginning of keys. */
const NAMES_OF_KEYS: ReadonlySet<string> = new Set([
  'lock',
  'campaign',
  'observe',
  'leader',
  'proclaim',
  'resign',
])

export type Rpc = keyof typeof RPC | 'cancelCall'

/** One request, or several of one stream that are sent together. */
export interface Step {
  readonly rpc: Rpc
  readonly request: JsonObject
  /** The stream of watches; of a call in the background: its number. */
  readonly stream?: number
  /** The user in whose name it is made: with the token of the user's last login. */
  readonly as?: string
  /** Bytes that follow the message. */
  readonly junk?: string
  /** So many of it are made at the same time. */
  readonly times?: number
}

/** A lease that ends before its conversation does would end at another time on each server. */
const SHORT_TTL = 30

export class Conversation {
  readonly #client: GrpcClient
  readonly #frame: Frame
  readonly #prefix: Uint8Array
  readonly #prefixEnd: Uint8Array
  readonly #streams = new Map<number, WatchStream>()
  readonly #calls: CallsInTheBackground
  readonly #leases = new Set<bigint>()
  readonly #tokens = new Tokens()
  #hasAlarms = false

  private constructor(client: GrpcClient, frame: Frame, prefix: string) {
    this.#client = client
    this.#frame = frame
    this.#prefix = Buffer.from(prefix)
    this.#prefixEnd = Buffer.from(`${prefix.slice(0, -1)}0`)
    this.#calls = new CallsInTheBackground(client, frame, this.#leases, () => this.#tokens.ofRoot)
  }

  /** `run`: a number that no conversation with this server has had. */
  static async begin(client: GrpcClient, run: number): Promise<Conversation> {
    const prefix = `run${String(run).padStart(9, '0')}/`
    // Behind all keys of the conversation: few watches see it.
    const key = Buffer.from(`${prefix}z`)
    let [revision, memberId] = [0, 0n]
    // Requests name earlier revisions too.
    while (revision <= FIRST_REVISION) {
      await client.unary(RPC.put, { key })
      const { header } = await client.unary(RPC.deleteRange, { key })
      ;({ revision = 0, memberId = 0n } = header ?? {})
    }
    await client.unary(RPC.compact, { revision, physical: true })
    return new Conversation(client, new Frame(prefix, run, revision, memberId), prefix)
  }

  /** Responses that all watches, and all calls in the background, have received so far. */
  get watched(): JsonObject {
    const entries = [...this.#streams].toSorted(([a], [b]) => a - b)
    const streams = Object.fromEntries(entries.map(([at, stream]) => [`stream ${at}`, stream.received]))
    return { ...streams, ...this.#calls.received }
  }

  /** Resolves when the calls in the background have received what the requests before have caused. */
  delivered(): Promise<void> {
    return this.#calls.delivered()
  }

  async make(step: Step): Promise<Json> {
    try {
      return (await this.#make(step)) ?? null
    } catch (error) {
      if (!(error instanceof GrpcError)) throw error
      return { code: error.code, text: error.message }
    }
  }

  async #make(step: Step): Promise<Json | undefined> {
    const { rpc, stream: at = 0, as, junk, times = 1 } = step
    const options = this.#tokens.optionsFor(as)
    if (rpc === 'watch') {
      const stream = this.#streams.get(at) ?? new WatchStream(this.#client, this.#frame, options)
      this.#streams.set(at, stream)
      return stream.request(step.request)
    }
    if (rpc === 'cancelCall') return await this.#calls.cancel(at)
    const framed = this.#frame.toRequest(step.request, NAMES_OF_KEYS.has(rpc) ? 'keys' : 'texts')
    const request = this.#calls.resolve(framed)
    switch (rpc) {
      case 'lock':
      case 'campaign':
        return await this.#calls.acquire(rpc, at, request, options)
      case 'observe':
        return await this.#calls.observe(at, request, options)
      case 'leaseKeepAlive':
        return this.#frame.fromResponse(await this.#keepAlive(request, options))
      case 'snapshot':
        return await readSnapshot(this.#client, options)
      case 'rangeStream':
      case 'healthWatch':
        return this.#frame.fromResponse(
          await this.#first(RPC[rpc] as RpcDescription<object, object, 'server-stream'>, request, options),
        )
    }
    const description = withJunk(UNARY[rpc] as RpcDescription<object, object, 'unary'>, junk)
    const make = () => this.#client.unary(description, request, options)
    if (times > 1) return this.#makeAtOnce(make, times)
    const response = await make()
    this.#hasAlarms ||= rpc === 'alarm'
    this.#tokens.learn(rpc, request, response)
    if (rpc === 'leaseGrant') await this.#granted(response as { readonly id: bigint }, step.request)
    return factsOf(rpc, this.#frame.fromResponse(this.#inOrder(response)))
  }

  /**
   * Lists whose order means nothing: etcd's is that of a map, or of the times at which leases end. Leases that a server
   * has granted by itself are left out.
   */
  #inOrder(response: object): object {
    const { leases, keys, ...others } = response as {
      readonly leases?: readonly { readonly id: bigint }[]
      readonly keys?: readonly Uint8Array[]
    }
    const known = leases?.filter(({ id }) => this.#leases.has(id) || this.#frame.isLease(id))
    return {
      ...others,
      ...(known && { leases: known.toSorted((a, b) => (a.id < b.id ? -1 : 1)) }),
      ...(keys && { keys: keys.toSorted(Buffer.compare) }),
    }
  }

  /** All different responses, without a number of each. */
  async #makeAtOnce(make: () => Promise<object>, times: number): Promise<Json> {
    const responses = await Promise.allSettled(Array.from({ length: times }, make))
    const different = new Set(
      responses.map((each) => {
        if (each.status === 'fulfilled') return JSON.stringify(this.#frame.fromResponse(each.value))
        if (!(each.reason instanceof GrpcError)) throw each.reason
        return JSON.stringify({ code: each.reason.code, text: each.reason.message })
      }),
    )
    return [...different].toSorted().map((text): Json => JSON.parse(text) as Json)
  }

  async #granted({ id }: { readonly id: bigint }, { ttl }: JsonObject): Promise<void> {
    if (Number(ttl ?? 0) < SHORT_TTL) await this.#client.unary(RPC.leaseRevoke, { id }, this.#tokens.ofRoot)
    else this.#leases.add(id)
  }

  async #keepAlive(request: object, options: GrpcCallOptions): Promise<LeaseKeepAliveResponse> {
    const stream = this.#client.duplex(leaseKeepAlive, options)
    stream.send(request)
    stream.halfClose()
    const responses: LeaseKeepAliveResponse[] = []
    for await (const each of stream) responses.push(each)
    const [first] = responses
    if (first === undefined || responses.length > 1)
      throw new Error(`a keep-alive was answered ${responses.length} times`)
    return first
  }

  async #first(
    rpc: RpcDescription<object, object, 'server-stream'>,
    request: object,
    options: GrpcCallOptions,
  ) {
    for await (const response of this.#client.serverStream(rpc, request, options)) return response
    return {}
  }

  /** Ends the watches, and removes the users, keys and leases of the conversation. */
  async end(): Promise<void> {
    const client = this.#client
    for (const stream of this.#streams.values()) stream.cancel()
    if (this.#tokens.areChanged) await removeUsers(client, this.#tokens)
    if (this.#hasAlarms) await removeAlarms(client)
    // Calls that wait for these keys have them then, or fail.
    await client.unary(RPC.deleteRange, { key: this.#prefix, rangeEnd: this.#prefixEnd })
    await this.#calls.end()
    for (const id of this.#leases)
      await client.unary(RPC.leaseRevoke, { id }).catch((error: unknown) => {
        if (!(error instanceof GrpcError)) throw error
      })
  }
}

/** The RPC with further bytes behind its request. */
function withJunk<Q extends object, A>(
  rpc: RpcDescription<Q, A, 'unary'>,
  junk: string | undefined,
): RpcDescription<Q, A, 'unary'> {
  if (junk === undefined) return rpc
  const encode = (request: Partial<Q>, head = 0) =>
    Uint8Array.from(Buffer.concat([rpc.request.encode(request, head), Buffer.from(junk, 'latin1')]))
  return { ...rpc, request: Object.create(rpc.request, { encode: { value: encode } }) }
}

/** A client of the server at this address. */
export const connect = (endpoint: string): GrpcClient => new GrpcClient({ endpoint })
