// The comparison finds each difference: two nodes of quorate are alike, until the client of one alters a response.

import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { RPC } from '../../src/etcd/rpcs.ts'
import { quickPasswords } from '../quick-passwords.ts'
import { type Alter, AlteredClient } from './differential/altered-client.ts'
import { Comparison } from './differential/comparison.ts'
import { connect, type Step } from './differential/conversation.ts'
import type { JsonObject } from './differential/frame.ts'
import { type RunningServer, startQuorate } from './differential/servers.ts'

quickPasswords()

let servers: readonly RunningServer[]
let plain: ReturnType<typeof connect>
let altered: AlteredClient
beforeAll(async () => {
  servers = await Promise.all([startQuorate(), startQuorate()])
  const [one = '', other = ''] = servers.map(({ endpoint }) => endpoint)
  plain = connect(one)
  altered = new AlteredClient({ endpoint: other })
})
afterEach(() => {
  altered.alter = undefined
})
afterAll(async () => {
  for (const client of [plain, altered]) client?.close()
  await Promise.all((servers ?? []).map((server) => server.stop()))
})

const step = (rpc: Step['rpc'], request: JsonObject, stream?: number): Step => ({
  ...{ rpc, request },
  ...(stream !== undefined && { stream }),
})

const LEASES = [1, 2].map((id) => step('leaseGrant', { id, ttl: 300 }))
const PUTS = ['a', 'b'].map((key) => step('put', { key, value: '1', prevKv: true }))
const WATCH = step('watch', { createRequest: { key: 'a', rangeEnd: 'c' } }, 0)
const OTHER_WATCH = step('watch', { createRequest: { key: 'x', watchId: 1 } }, 0)
const CAMPAIGNS = [1, 2].map((lease) => step('campaign', { name: 'n', lease, value: `${lease}` }, lease))
const LOCKS = [1, 2].map((lease) => step('lock', { name: 'm', lease }, 2 + lease))
const RESIGN = step('resign', { leader: { call: 1 } })
const UNLOCK = step('unlock', { key: { call: 3 } })
const CONVERSATION: readonly Step[] = [
  ...LEASES,
  WATCH,
  ...PUTS,
  step('txn', { compare: [{ key: 'a', target: 0 }], failure: [{ requestRange: { key: 'a' } }] }),
  step('compact', { revision: 11 }),
  OTHER_WATCH,
  ...CAMPAIGNS,
  step('leader', { name: 'n' }),
  RESIGN,
  ...LOCKS,
  UNLOCK,
  step('range', { key: 'a', rangeEnd: 'z' }),
  step('leaseTimeToLive', { id: 1, keys: true }),
  step('leaseGrant', { ttl: 300 }),
  step('leaseLeases', {}),
  step('memberList', {}),
  step('put', { key: 'a' }),
]

const compare = (steps: readonly Step[], settleMs?: number) =>
  new Comparison('3.6', plain, altered, settleMs).compare(steps)

test('servers that answer the same are alike', async () => {
  const recorded = await compare(CONVERSATION)
  expect(recorded?.exchanges.map((exchange) => exchange.step)).toEqual(CONVERSATION)
  const listed = recorded?.exchanges.find((exchange) => exchange.step.rpc === 'leaseLeases')?.response
  expect(Object(listed).leases).toEqual([{ id: 1 }, { id: 2 }, { id: 'chosen' }])
  const { 'stream 0': watched, ...calls } = recorded?.watched ?? {}
  expect(Object.keys(Object(watched))).toEqual(['watch 0', 'watch 1'])
  expect(Object.keys(calls)).toEqual(['call 2', 'call 4'])
})

type Response = Record<string, unknown>
/** Alters the response of an RPC with this number, among those that count. */
function alterOne(
  rpc: keyof typeof RPC,
  number: number,
  change: (response: Response) => readonly object[],
  counts: (response: Response) => boolean = () => true,
): Alter {
  let count = 0
  return (path, response) => {
    const isAltered = path === RPC[rpc].path && counts(response as Response) && ++count === number
    return isAltered ? change(response as Response) : [response]
  }
}
const twice = (response: object): readonly object[] => [response, response]
/** The response to the last request follows all events. */
const PROGRESS = step('watch', { progressRequest: {} }, 0)
const WATCHED = [WATCH, ...PUTS, PROGRESS]
const FIRST_EVENT = 2

test.each<[string, readonly Step[], () => Alter]>([
  [
    'a field of a response',
    [...PUTS, ...PUTS],
    () =>
      alterOne(
        'put',
        2,
        (put) => [{ ...put, prevKv: undefined }],
        ({ prevKv }) => prevKv !== undefined,
      ),
  ],
  [
    'a keep-alive that is answered twice',
    [...LEASES, step('leaseKeepAlive', { id: 1 })],
    () => alterOne('leaseKeepAlive', 1, twice),
  ],
  ['an event that is lost', WATCHED, () => alterOne('watch', FIRST_EVENT, () => [])],
  [
    'a revision that is divided into responses',
    [WATCH, step('txn', { success: PUTS.map(({ request }) => ({ requestPut: request })) }), PROGRESS],
    () =>
      alterOne('watch', FIRST_EVENT, (response) => {
        const [first, ...others] = response.events as readonly object[]
        return [[first], others].map((events) => ({ ...response, events }))
      }),
  ],
  ['an event that is sent twice', WATCHED, () => alterOne('watch', FIRST_EVENT, twice)],
  [
    'an event before a compaction',
    [...WATCHED, step('compact', { revision: 12 })],
    () => alterOne('watch', FIRST_EVENT, () => []),
  ],
  [
    'the leader after a resignation',
    [...LEASES, ...CAMPAIGNS, RESIGN],
    () => alterOne('campaign', 2, () => [{}]),
  ],
  ['the key of a lock after an unlock', [...LEASES, ...LOCKS, UNLOCK], () => alterOne('lock', 2, () => [{}])],
  [
    'one of a hundred responses at a time',
    [...PUTS, { ...step('range', { key: 'a' }), times: 100 }],
    () => alterOne('range', 70, (range) => [{ ...range, count: 2 }]),
  ],
  [
    'a snapshot that is damaged',
    [step('snapshot', {})],
    () =>
      alterOne('snapshot', 1, ({ blob, ...part }) => [
        { ...part, blob: Buffer.from(blob as Uint8Array).fill(7, 0, 9) },
      ]),
  ],
  [
    'a snapshot without its end',
    [step('snapshot', {})],
    () =>
      alterOne('snapshot', 1, ({ blob, ...part }) => [
        { ...part, blob: Buffer.from(blob as Uint8Array).subarray(1) },
      ]),
  ],
])('%s is a difference', async (_, steps, alter) => {
  altered.alter = alter()
  await expect(compare(steps, 200)).rejects.toThrow(/^etcd and quorate differ|answered 2 times/)
})
