// A table: every way in which a watch ends, more often than each limit on watches. Afterwards the stream holds nothing
// of it, and the next watch receives its events.

import { expect, test } from 'vitest'
import { RPC } from '../../../src/etcd/rpcs.ts'
import { ApiError, asRevision, type Revision } from '../../../src/operations/forms/index.ts'
import { InboundBudget } from '../../../src/server/api/budget.ts'
import type { EtcdCall } from '../../../src/server/etcd/call.ts'
import type { RequestReceiver } from '../../../src/server/etcd/rpc.ts'
import { watch } from '../../../src/server/etcd/watch/stream.ts'
import { httpLimits } from '../../../src/server/listener/limits.ts'
import type { EventsMessage, WatchEnd, WatchSink } from '../../../src/server/node/watch/index.ts'
import { connectionWith } from '../clients/lone-connection.ts'

type WatchRequest = Parameters<ReturnType<typeof watch.open>['request']>[0]

/** More than may wait for a leader, and than the budget has room for. */
const MANY = 1_100

/** A watch that the node was asked for. */
interface Asked {
  begin(): WatchSink
  fail(error: ApiError): void
}

class Node {
  readonly inbound = new InboundBudget(64 * 1024)
  /** Watches that the node serves. */
  open = 0
  readonly buffered = { bytes: 0 }
  readonly asked: Asked[] = []
  readonly sent: ReturnType<typeof RPC.watch.response.decode>[] = []
  ends = 0
  /** The client takes what it is sent. */
  isTaking = true
  #stream: RequestReceiver<WatchRequest> | undefined

  get stream(): RequestReceiver<WatchRequest> {
    this.#stream ??= this.#openStream()
    return this.#stream
  }

  closeStream(): void {
    this.#stream?.closed()
    this.#stream = undefined
  }

  #openStream(): RequestReceiver<WatchRequest> {
    const { buffered } = this
    const watchBuffers = {
      add(bytes: number) {
        buffered.bytes += bytes
      },
      remove(bytes: number) {
        buffered.bytes -= bytes
      },
      ...{ forget() {}, wait() {}, isFull: () => false, isHalfTaken: () => true, takesProgressOnly: false },
    }
    const api = {
      node: { revision: asRevision(9) },
      watchBuffers,
      limits: httpLimits,
      toApiError: (error: Error) => error,
    }
    const call = {
      api,
      execute: (_: unknown, { openSink }: { readonly openSink: () => WatchSink }) =>
        new Promise((resolve, reject) => void this.asked.push(this.#watch(openSink, resolve, reject))),
      header: (revision: number) => ({ clusterId: 1n, memberId: 2n, revision, raftTerm: 3 }),
      nextDeadline: () => 0,
      client: { requiresLeader: false, connection: connectionWith(this.inbound) },
    } as unknown as EtcdCall
    return watch.open(call, {
      ...{ send() {}, waitingBytes: 0, drained: async () => {}, end: () => void this.ends++ },
      sendBytes: (bytes, taken) => {
        this.sent.push(RPC.watch.response.decode(bytes))
        if (this.isTaking) taken?.()
      },
    })
  }

  #watch(openSink: () => WatchSink, resolve: (begun: object) => void, reject: (error: Error) => void): Asked {
    return {
      begin: () => {
        this.open++
        let isOpen = true
        const cancel = (): void => {
          if (isOpen) this.open--
          isOpen = false
        }
        const sink = openSink()
        const handle = { sentUpTo: () => asRevision(9), cancel, drained() {} }
        resolve({ watch: handle, head: { revision: asRevision(9) } })
        // The node counts a watch that it has ended no longer.
        return Object.assign(Object.create(sink) as WatchSink, {
          ended: (end: WatchEnd) => {
            cancel()
            sink.ended(end)
          },
          events: (message: EventsMessage) => sink.events(message),
        })
      },
      fail: reject,
    }
  }

  create(watchId = 0): Asked {
    const create_request = { key: Buffer.from('k'.repeat(50)).toString('base64'), watch_id: watchId }
    this.stream.request(RPC.watch.request.fromJson({ create_request }))
    const asked = this.asked.at(-1)
    if (asked === undefined) throw new Error('the node is asked for each watch')
    return asked
  }

  cancel(watchId: number): void {
    this.stream.request(RPC.watch.request.fromJson({ cancel_request: { watch_id: watchId } }))
  }
}

/** Promises that are resolved have been followed. */
const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 12; turn++) await Promise.resolve()
}

const event = (revision: number): EventsMessage =>
  ({
    revision,
    in: () => RPC.watch.response.encode({ events: [{ type: 0, kv: undefined, prevKv: undefined }] }),
  }) as unknown as EventsMessage

const compacted = new ApiError('compacted', 'it is compacted', { members: { resume_from: 5 as Revision } })
const denied = new ApiError('permission_denied', 'no right')

const ENDINGS: Readonly<Record<string, (node: Node, id: number) => Promise<void>>> = {
  'its client cancels it': async (node, id) => {
    node.create(id).begin()
    await settle()
    node.cancel(id)
  },
  'its client cancels it before it begins': async (node, id) => {
    const asked = node.create(id)
    node.cancel(id)
    const sink = asked.begin()
    await settle()
    // Nobody receives them.
    const { length } = node.sent
    if (node.open > 0) sink.events(event(10))
    expect(node.sent.slice(length)).toEqual([])
  },
  'its client cancels it, and the node refuses it': async (node, id) => {
    const asked = node.create(id)
    node.cancel(id)
    asked.fail(compacted)
  },
  'the node refuses it: compacted': async (node, id) => {
    node.create(id).fail(compacted)
    await settle()
    node.cancel(id)
  },
  'the node refuses it: no right': async (node, id) => node.create(id).fail(denied),
  'the node ends it: compacted': async (node, id) => {
    const sink = node.create(id).begin()
    await settle()
    sink.ended({ kind: 'compacted', reason: 'old', resumeFrom: asRevision(5) } as unknown as WatchEnd)
    node.cancel(id)
  },
  'its stream ends': async (node, id) => {
    node.create(id).begin()
    await settle()
    node.closeStream()
  },
  'its stream ends, whose client takes nothing': async (node, id) => {
    node.isTaking = false
    const sink = node.create(id).begin()
    await settle()
    sink.events(event(10))
    expect(node.buffered.bytes).toBeGreaterThan(0)
    node.closeStream()
    node.isTaking = true
  },
  'its stream ends before it begins': async (node, id) => {
    const asked = node.create(id)
    node.closeStream()
    asked.begin()
  },
  'its stream ends before it is refused': async (node, id) => {
    const asked = node.create(id)
    node.closeStream()
    asked.fail(denied)
  },
}

test.each(Object.entries(ENDINGS))('%s', async (_, end) => {
  const node = new Node()
  for (let at = 0; at < MANY; at++) {
    // The same id may be used again, or another one.
    await end(node, at % 3 === 0 ? 1 : at + 1)
    await settle()
    node.sent.length = 0
    node.asked.length = 0
    if (node.stream.isBusy) expect.fail(`after ${at} watches no request is read`)
  }
  expect([node.inbound.bytes, node.open, node.buffered.bytes, node.ends]).toEqual([0, 0, 0, 0])
  const sink = node.create(1).begin()
  await settle()
  sink.events(event(10))
  expect(node.sent).toMatchObject([
    { watchId: 1, created: true, canceled: false },
    { watchId: 1, events: [{}] },
  ])
})
