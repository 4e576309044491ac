// Counters of operations and watches, on connections that stay open: each way in which one of them can end gives back
// what it took. Each is tried many times, because some bytes of a connection are free.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { AS_BOB, AS_ROOT, nodeWithUsers, permit } from '../auth/users.ts'
import { type Served, start } from '../http/served.ts'
import {
  CANCEL,
  CHANGES,
  COMPACT,
  DELETE,
  DELETE_RANGE,
  GET,
  KEEP_ALIVE,
  MuxClient,
  OPEN_SESSION,
  PUT,
  RANGE,
  soon,
  TXN,
  WATCH,
} from './mux-client.ts'

const TIMES = 10
/** Ten of them are more than the free bytes of a connection. */
const KEY = Buffer.from(`app/${'k'.repeat(600)}`)
const OTHER = Buffer.from(`app/${'o'.repeat(600)}`)
const VALUE = Buffer.alloc(2_000, 'v')
const nothing = null

let served: Served & { close(): Promise<void> }
const node = nodeWithUsers()
beforeAll(async () => {
  served = await start({ node })
})
afterAll(() => served.close())

const counts = (): object => {
  const { operations, ranges, watchBytes, bodyBytes, unauthenticatedBytes, answerBytes } =
    served.http.inspect()
  return {
    ...{ operations, ranges, watchBytes, bodyBytes, unauthenticatedBytes, answerBytes },
    ...{ reads: node.openReads, scans: node.openScans, watches: node.watches.counts().open },
  }
}

const expectNothingLeft = (): Promise<void> =>
  soon(() => {
    const left = Object.entries(counts()).filter(([, count]) => count !== 0)
    expect(left, 'counters that are not 0').toEqual([])
  })

const OPERATIONS: Readonly<Record<string, { readonly fields: readonly unknown[]; readonly reads?: true }>> = {
  put: { fields: [PUT, 60_000, KEY, VALUE] },
  'put with prev': { fields: [PUT, 60_000, KEY, VALUE, nothing, { prev: true }] },
  'put that must not exist': { fields: [PUT, 60_000, KEY, VALUE, nothing, { if_none_match: '*' }] },
  'delete with prev': { fields: [DELETE, 60_000, OTHER, nothing, { prev: true }] },
  get: { fields: [GET, 60_000, KEY], reads: true },
  'get as of the past': { fields: [GET, 60_000, KEY, nothing, nothing, 1], reads: true },
  range: { fields: [RANGE, 60_000, { prefix: KEY, count: true }], reads: true },
  changes: {
    fields: [
      CHANGES,
      60_000,
      [
        [PUT, OTHER, VALUE],
        [DELETE, Buffer.concat([KEY, KEY]), { if_match: [1] }],
      ],
    ],
  },
  'txn that reads': { fields: [TXN, 60_000, { success: [{ get: { key: KEY } }] }], reads: true },
  'txn that writes': {
    fields: [TXN, 60_000, { success: [{ put: { key: KEY, value: VALUE, prev: true } }] }],
  },
  'delete range': { fields: [DELETE_RANGE, 60_000, { prefix: OTHER }] },
  compact: { fields: [COMPACT, 60_000, 1] },
  'keep alive': { fields: [KEEP_ALIVE, 60_000, Array(60).fill('7')] },
  'open session': { fields: [OPEN_SESSION, 60_000] },
}

/** Makes one operation end so; `id`: its id. */
type Way = (client: MuxClient, id: number, fields: readonly unknown[]) => Promise<unknown>

/** Sends it while the node holds its answers, and calls `then` when it is held. */
const held =
  (then: (client: MuxClient, id: number, go: () => void) => unknown): Way =>
  async (client, id, fields) => {
    let go: (() => void) | undefined
    node.hold = (release) => {
      go = release
    }
    client.send([id, ...fields])
    await soon(() => expect(go, 'the node has been asked').toBeDefined())
    node.hold = undefined
    await then(client, id, go ?? expect.fail())
  }

const refusedByNode: Way = async (client, id, fields) => {
  node.problem = { code: 'no_leader', detail: 'there is none', written: 'no' }
  try {
    expect((await client.ask(id, ...fields))[2]).toMatchObject({ code: 'no_leader' })
  } finally {
    node.problem = undefined
  }
}

const wrong: Way = async (client, id, fields) =>
  expect((await client.ask(id, ...fields, ...Array(7).fill(nothing)))[2]).toMatchObject({
    code: 'bad_request',
  })

const WAYS: Readonly<Record<string, { readonly way: Way; readonly onlyReads?: true }>> = {
  'is answered': { way: (client, id, fields) => client.ask(id, ...fields) },
  'is refused by the node': { way: refusedByNode },
  'has a wrong field': { way: wrong },
  'is cancelled while it waits': {
    way: held(async (client, id, go) => {
      client.send([id, CANCEL])
      // Only reads end with it.
      await client.ask(1_000, GET, 60_000, 'app/none')
      go()
      await client.answer(id)
    }),
  },
  'meets a row that cannot be read': {
    onlyReads: true,
    way: async (client, id, fields) => {
      node.corrupt = () => true
      try {
        await client.ask(id, ...fields)
      } finally {
        node.corrupt = undefined
      }
    },
  },
}

const CASES = Object.entries(OPERATIONS).flatMap(([name, { fields, reads }]) =>
  Object.entries(WAYS).flatMap(([how, { way, onlyReads }]) =>
    onlyReads && reads === undefined ? [] : [[name, how, fields, way] as const],
  ),
)

test('no operation leaves anything behind on a connection that stays open, however it ends', async () => {
  node.put(KEY, VALUE)
  node.put(OTHER, VALUE)
  const client = await new MuxClient(served.port, { headers: AS_ROOT }).open()
  for (const [name, how, fields, way] of CASES) {
    for (let at = 1; at <= TIMES; at++) await way(client, at, fields)
    await expectNothingLeft().catch((error: unknown) => expect.fail(`${name} ${how}: ${String(error)}`))
  }
  // As much as at first has room.
  expect((await client.ask(1, PUT, 60_000, KEY, VALUE))[1]).toBe(0)
  // No operation has its answer when the connection ends.
  const holding: (() => void)[] = []
  node.hold = (go) => holding.push(go)
  const all = Object.values(OPERATIONS).map(({ fields }, at) => [at + 1, ...fields])
  client.send(...all)
  await soon(() => expect(holding.length).toBeGreaterThan(10))
  client.ws.terminate()
  await client.end()
  node.hold = undefined
  for (const go of holding) go()
  await expectNothingLeft()
})

const BEGIN = [WATCH, 60_000, { prefix: KEY }]
const ENDED = 4
const app = { start: Buffer.from('app/'), end: Buffer.from('app0') }

const endOf = (client: MuxClient, id: number): Promise<void> =>
  soon(() => expect(client.watched.some((item) => item[0] === id && item[1] === ENDED)).toBe(true))

const WATCH_WAYS: Readonly<Record<string, Way>> = {
  'is refused by the node': refusedByNode,
  'has a wrong field': wrong,
  'is cancelled before it has begun': held(async (client, id, go) => {
    client.send([id, CANCEL])
    await client.answer(id)
    go()
  }),
  'is cancelled after events': async (client, id, fields) => {
    await client.ask(id, ...fields)
    node.put(KEY, VALUE)
    client.send([id, CANCEL])
    await endOf(client, id)
  },
  'has no right any more': async (client, id, fields) => {
    await client.ask(id, ...fields)
    permit(node, { access: 'write', range: app })
    await endOf(client, id)
    permit(node, { access: 'readwrite', range: app })
  },
  'begins at a revision that is compacted': async (client, id) => {
    node.put(KEY, VALUE)
    node.apply({ kind: 'compact', revision: node.revision })
    const answer = await client.ask(id, WATCH, 60_000, { prefix: KEY }, 1)
    expect(answer[2]).toMatchObject({ code: 'compacted' })
  },
}

test('no watch leaves anything behind on a connection that stays open, however it ends', async () => {
  const client = await new MuxClient(served.port, { headers: AS_BOB }).open()
  for (const [how, way] of Object.entries(WATCH_WAYS)) {
    for (let at = 1; at <= TIMES; at++) {
      client.watched.length = 0
      await way(client, at, BEGIN)
    }
    await expectNothingLeft().catch((error: unknown) => expect.fail(`a watch that ${how}: ${String(error)}`))
  }
  for (let id = 1; id <= TIMES; id++) await client.ask(id, ...BEGIN)
  expect(counts()).toMatchObject({ watches: TIMES })
  client.ws.terminate()
  await client.end()
  await expectNothingLeft()
})
