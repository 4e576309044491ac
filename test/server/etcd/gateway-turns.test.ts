// Streams of the gateway whose clients send requests as fast as they can.

import { expect, test } from 'vitest'
import type { WatchRequest } from '../../../src/etcd/messages/watch.ts'
import { RPC } from '../../../src/etcd/rpcs.ts'
import { InboundBudget, OutboundBudget } from '../../../src/server/api/budget.ts'
import { TurnQueue } from '../../../src/server/api/turn-queue.ts'
import type { HttpRequest } from '../../../src/server/connections/messages.ts'
import type { EtcdCall } from '../../../src/server/etcd/call.ts'
import { GatewayStream } from '../../../src/server/etcd/gateway/stream.ts'
import { serveDuplex } from '../../../src/server/etcd/rpc.ts'
import { connectionWith } from '../clients/lone-connection.ts'

/** Runs no step by itself. */
class HeldTurns extends TurnQueue {
  readonly steps: (() => void)[] = []

  override run(step: () => void): void {
    this.steps.push(step)
  }
}

/** Opens a stream on which a body has arrived. */
function open(body: string, turns: TurnQueue, inbound: InboundBudget) {
  const received: WatchRequest[] = []
  let isBusy = false
  let arrived = (): void => {}
  let rest = Buffer.from(body)
  const outbound = new OutboundBudget(1024, turns)
  const call = {
    api: { outbound },
    whenLate: () => () => {},
    abandon() {},
    releaseRoom() {},
  } as unknown as EtcdCall
  const follow = (run: () => void) => {
    arrived = run
    const take = (): Buffer => {
      const taken = rest
      rest = Buffer.alloc(0)
      return taken
    }
    return { take, isOver: false, drop() {} }
  }
  const rpc = serveDuplex(RPC.watch, () => ({
    get isBusy() {
      return isBusy
    },
    request: (request) => void received.push(request),
    halfClosed() {},
    closed() {},
  }))
  const request = { body: { follow }, connection: connectionWith(inbound) } as unknown as HttpRequest
  const stream = new GatewayStream({
    ...{ call, rpc, request, requestBytesMax: 1024 * 1024, stallMsMax: 1_000 },
    ...{ respond() {}, fail() {}, closed() {} },
  })
  stream.open(rpc)
  arrived()
  return {
    received,
    stream,
    outbound,
    leave: () => request.withdraw?.(),
    setBusy: (busy: boolean) => (isBusy = busy),
  }
}

test('the requests of many streams are passed on by turns, some at a time', () => {
  const turns = new HeldTurns()
  const inbound = new InboundBudget(1024 * 1024)
  const streams = [1, 2].map(() => open('{}'.repeat(1_000), turns, inbound))
  const counts = () => streams.map(({ received }) => received.length)
  expect(counts()).toEqual([0, 0])
  for (let step = 0; step < 4; step++) turns.steps.shift()?.()
  expect(counts()).toEqual([128, 128])
  while (turns.steps.length > 0) turns.steps.shift()?.()
  expect(counts()).toEqual([1_000, 1_000])
})

test('what waits for a stream that is busy counts, and is given back', () => {
  const turns = new HeldTurns()
  const inbound = new InboundBudget(1024 * 1024)
  const { received, stream, setBusy } = open('{}'.repeat(10_000), turns, inbound)
  turns.steps.shift()?.()
  setBusy(true)
  turns.steps.shift()?.()
  expect([received.length, turns.steps.length]).toEqual([64, 0])
  expect(inbound.bytes).toBeGreaterThan(18_000)
  stream.leave()
  expect(inbound.bytes).toBe(0)
})

test('responses that their client has not taken are given back when it goes', () => {
  const { stream, outbound, leave } = open('', new TurnQueue(), new InboundBudget(1024))
  for (let at = 0; at < 3; at++) stream.send({ watchId: at, created: true })
  expect(outbound.bytes).toBe(stream.waitingBytes)
  expect(outbound.bytes).toBeGreaterThan(50)
  leave()
  expect(outbound.bytes).toBe(0)
})
