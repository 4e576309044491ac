// A conversation with one server: requests one after the other, and their responses.

import type { LeaseKeepAliveResponse } from '../../../src/etcd/messages/lease.ts'
import { RPC, type RpcDescription } from '../../../src/etcd/rpcs.ts'
import { GrpcError } from '../../../src/etcd/status.ts'
import { GrpcClient } from '../../../src/etcd-client/grpc-client.ts'
import { Frame, type Json, type JsonObject } from './frame.ts'
import { WatchStream } from './watch-stream.ts'

const UNARY = {
  range: RPC.range,
  put: RPC.put,
  deleteRange: RPC.deleteRange,
  txn: RPC.txn,
  compact: RPC.compact,
  leaseGrant: RPC.leaseGrant,
  leaseRevoke: RPC.leaseRevoke,
  leaseTimeToLive: RPC.leaseTimeToLive,
  leaseLeases: RPC.leaseLeases,
} as const

/** One request. `stream`: which stream of watches has it. */
export type Step =
  | { readonly rpc: keyof typeof UNARY | 'leaseKeepAlive'; readonly request: JsonObject }
  | { readonly rpc: 'watch'; readonly stream: number; readonly request: JsonObject }

/** A lease that ends before its conversation does would end at another time on each server. */
const SHORT_TTL = 30

export class Conversation {
  readonly #client: GrpcClient
  readonly #frame: Frame
  readonly #prefix: Uint8Array
  readonly #prefixEnd: Uint8Array
  readonly #streams = new Map<number, WatchStream>()
  readonly #leases = new Set<bigint>()

  private constructor(client: GrpcClient, frame: Frame, prefix: string) {
    this.#client = client
    this.#frame = frame
    this.#prefix = Buffer.from(prefix)
    this.#prefixEnd = Buffer.from(`${prefix.slice(0, -1)}0`)
  }

  /** `run`: a number that no conversation with this server has had. */
  static async begin(client: GrpcClient, run: number): Promise<Conversation> {
    const prefix = `run${String(run).padStart(9, '0')}/`
    // Behind all keys of the conversation: few watches see it.
    const key = Buffer.from(`${prefix}z`)
    await client.unary(RPC.put, { key })
    const { header } = await client.unary(RPC.deleteRange, { key })
    const revision = header?.revision ?? 0
    await client.unary(RPC.compact, { revision, physical: true })
    return new Conversation(client, new Frame(prefix, run, revision), prefix)
  }

  /** Responses that all watches have received so far. */
  get watched(): JsonObject {
    const entries = [...this.#streams].toSorted(([a], [b]) => a - b)
    return Object.fromEntries(entries.map(([at, stream]) => [`stream ${at}`, stream.received]))
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
    if (step.rpc === 'watch') {
      const stream = this.#streams.get(step.stream) ?? new WatchStream(this.#client, this.#frame)
      this.#streams.set(step.stream, stream)
      return stream.request(step.request)
    }
    const request = this.#frame.toRequest(step.request)
    if (step.rpc === 'leaseKeepAlive') return this.#frame.fromResponse(await this.#keepAlive(request))
    const rpc = UNARY[step.rpc] as RpcDescription<object, object, 'unary'>
    const response = await this.#client.unary(rpc, request)
    if (step.rpc === 'leaseGrant') await this.#granted(response as { readonly id: bigint }, step.request)
    return this.#frame.fromResponse(inOrder(response))
  }

  async #granted({ id }: { readonly id: bigint }, { ttl }: JsonObject): Promise<void> {
    if (Number(ttl ?? 0) < SHORT_TTL) await this.#client.unary(RPC.leaseRevoke, { id })
    else this.#leases.add(id)
  }

  async #keepAlive(request: object): Promise<LeaseKeepAliveResponse> {
    const stream = this.#client.duplex(RPC.leaseKeepAlive)
    stream.send(request)
    stream.halfClose()
    const responses: LeaseKeepAliveResponse[] = []
    for await (const each of stream) responses.push(each)
    const [first] = responses
    if (first === undefined || responses.length > 1)
      throw new Error(`a keep-alive was answered ${responses.length} times`)
    return first
  }

  /** Ends the watches, and removes the keys and leases of the conversation. */
  async end(): Promise<void> {
    for (const stream of this.#streams.values()) stream.cancel()
    for (const id of this.#leases)
      await this.#client.unary(RPC.leaseRevoke, { id }).catch((error: unknown) => {
        if (!(error instanceof GrpcError)) throw error
      })
    await this.#client.unary(RPC.deleteRange, { key: this.#prefix, rangeEnd: this.#prefixEnd })
  }
}

/** Lists whose order means nothing: etcd's is that of a map, or of the times at which leases end. */
function inOrder(response: object): object {
  const { leases, keys, ...others } = response as {
    readonly leases?: readonly { readonly id: bigint }[]
    readonly keys?: readonly Uint8Array[]
  }
  return {
    ...others,
    ...(leases && { leases: leases.toSorted((a, b) => (a.id < b.id ? -1 : 1)) }),
    ...(keys && { keys: keys.toSorted(Buffer.compare) }),
  }
}

/** A client of the server at this address. */
export const connect = (endpoint: string): GrpcClient => new GrpcClient({ endpoint })
